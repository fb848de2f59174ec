"""Programs in the words of well-known texts for Keras run with other import lines alone.

Each text is cut into cells, as notebooks are. Data sets are small: a bright row says the class.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import keras

# The import lines of texts, and those that stand in their place.
IMPORTS = (
    (r"^import tensorflow as tf$", "from tinygrad_mnist import tf"),
    (r"^from tensorflow import keras$", "from tinygrad_mnist import keras"),
    (r"^import keras$", "from tinygrad_mnist import keras"),
    (r"^from tensorflow\.python\.client import", "from tinygrad_mnist.tf import"),
    (r"^from (?:tensorflow\.)?keras\b", "from tinygrad_mnist.keras"),
)

TEXTS = {
    "convnet": """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
num_classes = 10
input_shape = (28, 28, 1)
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255
x_train = np.expand_dims(x_train, -1)
x_test = np.expand_dims(x_test, -1)
y_train = keras.utils.to_categorical(y_train, num_classes)
y_test = keras.utils.to_categorical(y_test, num_classes)
model = keras.Sequential(
    [
        keras.Input(shape=input_shape),
        layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(num_classes, activation="softmax"),
    ]
)
model.summary()
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=128, epochs=1, validation_split=0.1)
score = model.evaluate(x_test, y_test, verbose=0)
assert len(score) == 2
""",
    "old convnet": """
import keras
from keras.datasets import mnist
from keras.models import Sequential
from keras.layers.core import Dense, Dropout, Activation, Flatten
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.layers.normalization import BatchNormalization
from keras.layers.advanced_activations import LeakyReLU
from keras.optimizers import SGD
from keras.utils import np_utils
from keras import backend as K
(x_train, y_train), (x_test, y_test) = mnist.load_data()
if K.image_data_format() == 'channels_first':
    input_shape = (1, 28, 28)
else:
    input_shape = (28, 28, 1)
x_train = x_train.reshape(x_train.shape[0], *input_shape).astype('float32')
x_train /= 255
y_train = np_utils.to_categorical(y_train, 10)
model = Sequential()
model.add(Convolution2D(8, (3, 3), input_shape=input_shape))
model.add(Activation('relu'))
model.add(Convolution2D(8, (3, 3)))
model.add(BatchNormalization(axis=-1))
model.add(LeakyReLU(alpha=0.1))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(16))
model.add(Activation('relu'))
model.add(Dropout(0.5))
model.add(Dense(10))
model.add(Activation('softmax'))
sgd = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss=keras.losses.categorical_crossentropy, optimizer=sgd, metrics=['accuracy'])
model.fit(x_train, y_train, batch_size=32, epochs=1, verbose=1, validation_data=(x_train, y_train))
model.compile(loss='categorical_crossentropy', optimizer=keras.optimizers.Adadelta())
model.train_on_batch(x_train[:8], y_train[:8])
""",
    "quickstart": """
import numpy as np
import tensorflow as tf
print("TensorFlow version:", tf.__version__)
mnist = tf.keras.datasets.mnist
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0
model = tf.keras.models.Sequential([
  tf.keras.layers.Flatten(input_shape=(28, 28)),
  tf.keras.layers.Dense(128, activation='relu'),
  tf.keras.layers.Dropout(0.2),
  tf.keras.layers.Dense(10)
])
predictions = model(x_train[:1]).numpy()
assert predictions.shape == (1, 10)
assert abs(tf.nn.softmax(predictions).numpy().sum() - 1) < 1e-5
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
first = loss_fn(y_train[:1], predictions).numpy()
assert abs(first + np.log(tf.nn.softmax(predictions).numpy()[0, y_train[0]])) < 1e-5
model.compile(optimizer='adam', loss=loss_fn, metrics=['accuracy'])
model.fit(x_train, y_train, epochs=5)
model.evaluate(x_test,  y_test, verbose=2)
#%%
probability_model = tf.keras.Sequential([model, tf.keras.layers.Softmax()])
found = probability_model(x_test[:5])
np.testing.assert_allclose(tf.reduce_sum(found, axis=1), np.ones(5), rtol=1e-5)
predictions = probability_model.predict(x_test)
np.testing.assert_allclose(predictions[:5], found.numpy(), rtol=1e-5, atol=1e-7)
img = np.expand_dims(x_test[1], 0)
assert np.argmax(probability_model.predict(img)[0]) == np.argmax(predictions[1])
#%%
model = tf.keras.models.Sequential([
  tf.keras.layers.Flatten(),
  tf.keras.layers.Dense(64, activation=tf.nn.relu),
  tf.keras.layers.Dense(10, activation=tf.nn.softmax)
])
for optimizer in (tf.train.AdamOptimizer(), tf.optimizers.Adam(), tf.keras.optimizers.Adam()):
  model.compile(optimizer=optimizer, loss='sparse_categorical_crossentropy', metrics=['acc'])
history = model.fit(x_train, y_train, epochs=1, validation_data=(x_test, y_test))
assert set(history.history) == {'acc', 'loss', 'val_acc', 'val_loss'}
""",
    "fashion": """
import tensorflow as tf
import numpy as np
from tensorflow.keras import models
mnist = tf.keras.datasets.fashion_mnist
(training_images, training_labels), (test_images, test_labels) = mnist.load_data()
training_images = training_images.reshape(-1, 28, 28, 1)
training_images = training_images / 255.0
test_images = test_images.reshape(-1, 28, 28, 1)
test_images = test_images / 255.0
model = tf.keras.models.Sequential([
  tf.keras.layers.Conv2D(64, (3,3), activation='relu', input_shape=(28, 28, 1)),
  tf.keras.layers.MaxPooling2D(2, 2),
  tf.keras.layers.Conv2D(64, (3,3), activation='relu'),
  tf.keras.layers.MaxPooling2D(2,2),
  tf.keras.layers.Flatten(),
  tf.keras.layers.Dense(128, activation='relu'),
  tf.keras.layers.Dense(10, activation='softmax')
])
model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
model.summary()
assert model.count_params() == 243786

class myCallback(tf.keras.callbacks.Callback):
  def on_epoch_end(self, epoch, logs={}):
    if(logs.get('accuracy') > 0):
      print("\\nReached the accuracy, so cancelling training!")
      self.model.stop_training = True

history = model.fit(training_images, training_labels, epochs=5, callbacks=[myCallback()])
assert len(history.history['loss']) == 1
test_loss, test_accuracy = model.evaluate(test_images, test_labels)
#%%
layer_outputs = [layer.output for layer in model.layers]
activation_model = tf.keras.models.Model(inputs = model.input, outputs = layer_outputs)
maps = activation_model.predict(test_images[0].reshape(1, 28, 28, 1))
assert [m.shape for m in maps[:4]] == [
    (1, 26, 26, 64), (1, 13, 13, 64), (1, 11, 11, 64), (1, 5, 5, 64)]
f1 = maps[1]
f1[0, : , :, 1]
np.testing.assert_allclose(maps[-1], model.predict(test_images[:1]), rtol=1e-5, atol=1e-7)
""",
    "kaggle": """
import numpy as np
from keras.datasets import mnist
from keras.models import Sequential
from keras.layers import Dense, Dropout, Flatten, Conv2D, MaxPool2D, BatchNormalization
from keras.optimizers import RMSprop
from keras.callbacks import ReduceLROnPlateau, LearningRateScheduler, EarlyStopping
from keras.utils.np_utils import to_categorical
(X_train, Y_train), (X_val, Y_val) = mnist.load_data()
X_train, X_val = X_train.reshape(-1, 28, 28, 1) / 255.0, X_val.reshape(-1, 28, 28, 1) / 255.0
Y_train, Y_val = to_categorical(Y_train, num_classes=10), to_categorical(Y_val, num_classes=10)
model = Sequential()
model.add(Conv2D(filters=8, kernel_size=(5, 5), padding='Same', activation='relu',
                 input_shape=(28, 28, 1)))
model.add(BatchNormalization())
model.add(MaxPool2D(pool_size=(2, 2), strides=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(32, activation="relu"))
model.add(Dense(10, activation="softmax"))
optimizer = RMSprop(lr=0.001, rho=0.9, epsilon=1e-08, decay=0.0)
model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
reduction = ReduceLROnPlateau(monitor='val_accuracy', patience=3, verbose=1, factor=0.5,
                              min_lr=0.00001)
annealer = LearningRateScheduler(lambda x: 1e-3 * 0.95 ** x)
history = model.fit(X_train, Y_train, batch_size=86, epochs=2, verbose=2,
                    validation_data=(X_val, Y_val), callbacks=[reduction, annealer])
print("Epochs={0:d}, Validation accuracy={1:.5f}".format(2, max(history.history['val_accuracy'])))
results = np.zeros((X_val.shape[0], 10))
results = results + model.predict(X_val)
results = np.argmax(results, axis=1)
""",
    "codelab": """
import math
import numpy as np
import tensorflow as tf
BATCH_SIZE = 32
EPOCHS = 2
AUTO = tf.data.experimental.AUTOTUNE
def read_label(tf_bytestring):
    label = tf.io.decode_raw(tf_bytestring, tf.uint8)
    label = tf.reshape(label, [])
    label = tf.one_hot(label, 10)
    return label
def read_image(tf_bytestring):
    image = tf.io.decode_raw(tf_bytestring, tf.uint8)
    image = tf.cast(image, tf.float32)/256.0
    image = tf.reshape(image, [28*28])
    return image
def load_dataset(image_file, label_file):
    imagedataset = tf.data.FixedLengthRecordDataset(image_file, 28*28, header_bytes=16)
    imagedataset = imagedataset.map(read_image, num_parallel_calls=16)
    labelsdataset = tf.data.FixedLengthRecordDataset(label_file, 1, header_bytes=8)
    labelsdataset = labelsdataset.map(read_label, num_parallel_calls=16)
    dataset = tf.data.Dataset.zip((imagedataset, labelsdataset))
    return dataset
training_dataset = load_dataset(images_file, labels_file).cache()
training_dataset = training_dataset.shuffle(5000, reshuffle_each_iteration=True).repeat()
training_dataset = training_dataset.batch(BATCH_SIZE, drop_remainder=True).prefetch(AUTO)
validation_dataset = load_dataset(images_file, labels_file).cache()
validation_dataset = validation_dataset.batch(64, drop_remainder=True).repeat()
for digits, labels in training_dataset.unbatch().batch(24):
    digits, labels = digits.numpy(), np.argmax(labels.numpy(), axis=1)
    break
class PlotTraining(tf.keras.callbacks.Callback):
  def __init__(self, sample_rate=1, zoom=1):
    self.sample_rate = sample_rate
    self.step = 0
  def on_train_begin(self, logs={}):
    self.batch_history = {}
  def on_batch_end(self, batch, logs={}):
    if (batch % self.sample_rate) == 0:
      for k,v in logs.items():
        if k=='batch' or k=='size':
          continue
        self.batch_history.setdefault(k, []).append(v)
    self.step += 1
plot_training = PlotTraining(sample_rate=2, zoom=1)
def lr_decay(epoch):
  return 0.01 * math.pow(0.6, epoch)
lr_decay_callback = tf.keras.callbacks.LearningRateScheduler(lr_decay, verbose=True)
#%%
model = tf.keras.Sequential(
  [
      tf.keras.layers.Input(shape=(28*28,)),
      tf.keras.layers.Dense(10, activation='softmax')
  ])
model.compile(optimizer='sgd', loss='categorical_crossentropy', metrics=['accuracy'])
model.summary()
history = model.fit(training_dataset, steps_per_epoch=4, epochs=EPOCHS,
                    validation_data=validation_dataset, validation_steps=1,
                    callbacks=[plot_training])
assert plot_training.step == 8 and len(plot_training.batch_history['loss']) == 4
probabilities = model.predict(digits, steps=1)
predicted_labels = np.argmax(probabilities, axis=1)
assert predicted_labels.shape == (24,)
#%%
model = tf.keras.Sequential(
  [
      tf.keras.layers.Reshape(input_shape=(28*28,), target_shape=(28, 28, 1)),
      tf.keras.layers.Conv2D(kernel_size=3, filters=12, use_bias=False, padding='same'),
      tf.keras.layers.BatchNormalization(center=True, scale=False),
      tf.keras.layers.Activation('relu'),
      tf.keras.layers.Conv2D(kernel_size=6, filters=24, use_bias=False, padding='same', strides=2),
      tf.keras.layers.BatchNormalization(center=True, scale=False),
      tf.keras.layers.Activation('relu'),
      tf.keras.layers.Flatten(),
      tf.keras.layers.Dense(200, use_bias=False),
      tf.keras.layers.BatchNormalization(center=True, scale=False),
      tf.keras.layers.Activation('relu'),
      tf.keras.layers.Dropout(0.3),
      tf.keras.layers.Dense(10, activation='softmax')
  ])
model.compile(optimizer=tf.keras.optimizers.Adam(lr=0.01), loss='categorical_crossentropy',
              metrics=['accuracy'])
history = model.fit(training_dataset, steps_per_epoch=4, epochs=EPOCHS,
                    validation_data=validation_dataset, validation_steps=1,
                    callbacks=[plot_training, lr_decay_callback])
np.testing.assert_allclose(history.history['learning_rate'], [0.01, 0.006])
#%%
model = tf.keras.Sequential(
  [
      tf.keras.layers.InputLayer(input_shape=(28*28,)),
      tf.keras.layers.Reshape(target_shape=(28, 28, 1)),
      tf.keras.layers.Conv2D(kernel_size=6, filters=12, padding='same', strides=2),
      tf.keras.layers.Conv2D(kernel_size=1, filters=10, padding='same'),
      tf.keras.layers.GlobalAveragePooling2D(),
      tf.keras.layers.Activation('softmax')
  ])
model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
model.fit(training_dataset, steps_per_epoch=2, validation_data=validation_dataset,
          validation_steps=1)
""",
    "deep": """
import tensorflow as tf
from tensorflow.keras import backend as K
from tensorflow.keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from tensorflow.keras.models import Sequential
from tensorflow.python.client import device_lib
print(device_lib.list_local_devices(), K.tensorflow_backend._get_available_gpus())
print("Num GPUs Available: ", len(tf.config.experimental.list_physical_devices('GPU')))
model = Sequential()
model.add(Conv2D(64, (3, 3), padding='same', activation='relu', input_shape=(28, 28, 1)))
model.add(Conv2D(64, (3, 3), padding='same', activation='relu'))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(128, (3, 3), padding='same', activation='relu'))
model.add(Conv2D(128, (3, 3), padding='same', activation='relu'))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(256, (3, 3), padding='same', activation='relu'))
model.add(Conv2D(256, (3, 3), padding='same', activation='relu'))
model.add(MaxPooling2D((2, 2)))
model.add(Flatten())
model.add(Dense(768, activation='relu'))
model.add(Dropout(0.5))
model.add(Dense(256, activation='relu'))
model.add(Dense(10, activation='softmax'))
lines = []
model.summary(print_fn=lines.append)
assert any('3,113,930' in line for line in lines)
""",
}


def small_data(n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n).astype(np.uint8)
    images = rng.integers(0, 100, (n, 28, 28)).astype(np.uint8)
    images[np.arange(n), 2 * labels + 4] = 255
    return images, labels


@pytest.fixture(autouse=True)
def datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    for dataset in (keras.datasets.mnist, keras.datasets.fashion_mnist):
        monkeypatch.setattr(dataset, "load_data", lambda: (small_data(128, 0), small_data(48, 1)))


def run(text: str, **names: Any) -> dict[str, Any]:
    """Runs a text with other import lines; returns its names."""
    for line, ours in IMPORTS:
        text = re.sub(line, ours, text, flags=re.MULTILINE)
    assert "import tensorflow" not in text
    for cell in text.split("#%%\n"):
        exec(compile(cell, "<text>", "exec"), names)
    return names


@pytest.mark.parametrize("name", TEXTS)
def test_texts_run(name: str, tmp_path: Path) -> None:
    images, labels = small_data(128, 0)
    (tmp_path / "images").write_bytes(bytes(16) + images.tobytes())
    (tmp_path / "labels").write_bytes(bytes(8) + labels.tobytes())
    run(TEXTS[name], images_file=str(tmp_path / "images"), labels_file=str(tmp_path / "labels"))


def test_modules_of_keras_are_modules_of_tf() -> None:
    text = """
import tinygrad_mnist.tf.keras as keras
from tinygrad_mnist.tf.keras.layers import Dense
from tinygrad_mnist.tf.keras.datasets import mnist
"""
    names = run(text)
    assert names["keras"] is keras
    assert names["Dense"] is keras.layers.Dense
    assert names["mnist"] is keras.datasets.mnist
