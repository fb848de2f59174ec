#include "tape.hpp"
