"""How people write the ten digits: the pen's strokes, in several ways per digit.

Each entry of the table is a line with the digit, how often it is written in this way (relative
to the digit's other entries) and a description, then the path of the pen: control points x,y
with x to the right and y down, in hundredths of the digit's height. The pen moves smoothly through
them, turns sharply at a point marked !, and is lifted at a |. If a path returns to an earlier
point, the two move independently when the digit is distorted, so that closed shapes close only
nearly, as on paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Point = tuple[float, float]

_TABLE = """
0 x5 an oval from the top, anticlockwise, closed
    46,1 14,22 7,66 34,98 68,80 75,36 46,1
0 x2 the same, the end running on past the start
    60,8 38,2 10,28 9,72 38,99 70,78 74,34 54,8 34,14
0 x2 the start as a hook inside
    44,34 34,14 14,24 7,66 32,98 66,84 75,42 50,4 28,8
0 x1.2 open at the top
    40,6 10,28 9,76 38,99 69,78 73,32 58,6
0 x1.5 pointed at both ends
    50,0 18,28 9,72 30,100 60,76 71,30 50,0
0 x1 clockwise from the left
    12,34 36,3 68,20 74,62 44,98 12,78 10,36

1 x6 a straight stroke
    50,0 50,100
1 x4 a straight stroke, a little uncertain
    50,0 50,50 50,100
1 x2 a curved stroke
    46,0 54,50 48,100
1 x0.8 a flag at the top
    30,22 42,12 52,0! 51,50 50,100
1 x0.6 a flag and a base
    26,24 40,12 52,0! 51,50 50,98 | 20,98 50,98 82,97
1 x0.2 a base only
    50,0 50,50 50,98 | 24,98 50,98 76,98

2 x4 a sharp turn at the foot
    8,24 20,6 42,0 62,10 64,32 48,60 24,84 6,98! 38,96 74,95
2 x4 a loop at the foot
    10,24 24,4 48,0 66,16 62,42 44,72 22,94 7,92 10,76 28,76 50,90 80,94
2 x2.5 a wide loop, a wavy foot
    12,20 30,2 54,2 68,20 62,48 42,80 20,98 4,92 6,74 24,68 44,82 64,96 86,86
2 x2 as a z
    6,10 30,4 54,2 66,6! 40,50 8,94! 40,92 78,90
2 x2.5 flat top, round shoulder, flat foot
    8,12 32,4 58,6 66,22 50,50 28,76 6,98! 40,98 82,94
2 x2 a hooked start
    12,34 6,22 18,4 44,0 64,12 64,34 46,62 24,84 8,98! 32,94 56,98 78,93
2 x2.5 a large loop, the foot running downwards
    12,22 30,3 54,4 66,22 62,52 46,80 24,90 8,80 12,62 32,60 52,74 72,98
2 x2 low, the foot far-reaching
    10,16 26,2 46,4 52,22 38,50 14,78! 44,74 80,72 106,68
2 x1.5 a narrow head, the foot long
    10,14 24,2 38,6 42,24 32,56 16,90! 48,88 88,86
2 x2.5 a steep stem, as a d
    16,14 34,0 50,10 52,40 44,76 28,96 10,92 14,76 34,76 60,86 84,90
2 x1 a short foot
    8,20 24,2 48,2 60,20 54,46 34,72 14,96! 38,97 62,94
2 x1.5 the foot crossing the stem
    16,10 38,1 50,20 46,56 36,84 16,94 6,84 16,74 44,74 90,72

3 x5 two bows, a cusp between them
    10,12 28,1 52,3 62,20 50,38 28,47! 52,52 68,70 58,90 34,99 6,90
3 x2 a small loop between the bows
    12,10 34,0 58,8 60,26 44,42 28,50 26,42 44,46 66,62 64,84 38,99 6,92
3 x1.5 a flat top
    8,5 34,3 62,2! 46,22 30,42! 52,46 68,66 58,88 34,99 6,92
3 x2 round, the cusp hardly marked
    6,16 26,2 50,4 60,20 50,38 34,46 52,54 64,72 52,92 26,99 2,86
3 x1.5 a small upper and a flat, far-reaching lower bow
    18,12 36,1 58,6 58,24 28,44! 54,46 64,62 50,82 26,94 -6,98
3 x1.2 a wide start, a short tail
    -4,14 22,3 50,5 54,22 26,42! 46,45 58,62 50,84 26,100
3 x0.5 a hooked start
    8,28 12,8 36,0 58,12 52,34! 28,46! 52,50 66,68 56,90 32,99 8,90
3 x0.8 a zigzag
    6,10 28,2 56,6! 26,40! 58,58 50,80 10,100

4 x4 open: left and bar in one stroke, then the stem
    15,3 10,28 5,52! 34,54 66,51 | 60,2 56,50 52,100
4 x2.5 open, round at the turn
    12,3 6,28 8,48 30,55 58,48 | 64,4 58,50 53,100
4 x1.5 open in one stroke: down, across, up, back down
    10,3 6,28 9,46 28,51 48,38 64,4! 57,50 52,100
4 x2.5 closed, the bar crossing the stem
    50,0 26,32 2,66! 36,66 76,64 | 52,2 52,50 52,100
4 x2.5 a far bar and a low crossing
    24,6 14,30 4,56! 40,55 82,50 | 52,22 48,60 44,100
4 x0.2 closed in one stroke, as a pointed 9
    56,56 28,58 4,56! 28,28 58,2! 56,50 52,100
4 x1.5 the bar's start joined to a slanting stem, nearly a cross
    30,0 17,26 2,54! 36,53 76,46 | 64,8 48,54 34,100

5 x4 neck and bow in one stroke, then the bar
    20,5 16,24 12,42! 36,36 60,50 62,76 40,96 6,92 | 20,4 46,4 74,1
5 x4 one stroke from the bar's end
    74,2 50,4 24,6! 18,24 14,42! 40,40 60,56 56,82 32,98 4,90
5 x4 one smooth stroke, as an s
    72,3 46,2 26,10 20,28 36,44 54,60 52,82 30,98 4,92
5 x1.5 a detached, high bar
    22,12 16,28 12,46! 38,42 60,58 56,84 30,99 4,90 | 32,4 54,2 80,-2
5 x2.5 a long bar, a small bow
    96,6 62,8 36,14! 28,30 22,44! 40,44 52,60 42,82 20,94 -4,88
5 x1 a bow closing on itself
    66,2 42,4 18,6! 14,24 12,40! 40,38 62,56 56,84 30,98 8,86 14,72

6 x5 a curved back, a round loop
    52,2 28,20 12,46 6,74 20,97 44,94 58,74 48,57 28,58 8,80
6 x3 a straight back, as a b
    26,0 16,30 9,60 10,86 28,99 50,86 52,66 36,56 16,68 8,82
6 x1 a hooked start, as a g turned
    60,8 46,1 26,12 10,40 6,72 22,97 48,94 62,76 50,60 28,61 6,80
6 x2 a large loop that turns inside
    44,0 20,28 7,60 16,92 44,98 68,80 66,56 44,50 28,66 34,84
6 x1.5 a loop left open
    40,1 18,32 6,66 18,94 46,96 64,76 54,58 36,62
6 x1.5 a loop whose end crosses the back
    54,0 28,26 12,58 12,86 32,98 54,84 52,66 32,66 10,82 -4,94
6 x2 a loop whose end crosses the foot
    42,0 20,30 8,64 20,84 46,76 60,58 46,50 26,68 14,98
6 x1.2 a wide, flat loop
    30,2 14,30 6,60 20,84 54,86 84,66 72,46 44,54 30,76

7 x5 bar and stem with a corner
    4,8 32,7 66,4! 48,50 32,100
7 x3 the corner rounded
    2,12 28,4 56,6 60,24 46,60 34,100
7 x3 a hook at the bar's start
    2,30 4,18 6,8! 34,8 66,4! 50,48 38,100
7 x2.5 a bar across the stem
    4,8 34,7 68,4! 48,50 32,100 | 20,54 46,52 74,50
7 x2.5 a narrow one with a straight stem
    4,12 26,10 54,2! 50,50 44,100
7 x1.2 a slanting start, the corner pointed
    0,24 22,16 44,10 68,2! 46,46 22,100
7 x2 a wavy bar and a curved stem
    2,20 12,6 30,12 48,12 70,2! 48,40 40,70 40,100
7 x1.5 a hook at the bar's start and a bar across the stem
    2,28 4,14 8,8! 34,8 66,4! 48,50 34,100 | 18,54 46,52 76,50
7 x0.7 low, wide and round
    0,20 30,4 70,4 84,24 66,56 40,84

8 x6 one stroke, as an s and back
    60,14 40,1 16,10 16,28 38,46 58,66 56,90 32,99 10,86 16,66 38,48 60,28 62,12
8 x3 the ends left apart at the top right
    58,12 38,3 16,12 16,30 36,46 54,64 50,90 28,99 8,88 14,68 38,46 60,24 76,2
8 x2 two loops, one above the other
    38,2 18,10 16,32 38,44 60,32 58,10 38,2 | 38,44 14,56 8,80 36,99 66,82 62,56 38,44
8 x2 from the middle
    36,44 16,26 26,4 50,2 62,20 44,44 18,66 12,88 34,99 58,88 54,64 36,44
8 x2 a large upper and a narrow lower loop
    64,20 46,2 18,6 10,26 30,44 44,64 42,90 28,99 18,86 26,64 46,44 64,24
8 x1.5 a long start from the right
    80,12 50,4 22,8 16,26 38,44 54,66 46,92 20,98 6,84 20,64 44,44 62,22
8 x2.5 the upper loop open, its ends crossing the middle
    68,4 50,24 32,48 14,72 20,96 44,96 50,74 36,48 18,26 22,6 46,6
8 x0.7 the lower loop open
    10,98 34,56 56,28 52,4 26,2 14,20 34,44 54,72 52,98
8 x0.5 two wide loops
    42,4 14,10 8,28 36,40 66,30 62,8 40,4 | 36,42 6,54 2,82 36,97 78,84 74,54 40,44
8 x1.5 one stroke, begun at the left
    16,14 36,1 60,10 60,28 38,46 18,66 20,90 44,99 66,86 60,66 38,48 16,28 14,12

9 x5 a loop, then a straight stem
    56,12 36,1 14,14 8,36 26,48 48,36 60,8! 56,50 50,100
9 x4 loop and stem in one turn
    54,16 36,2 14,12 10,36 28,46 50,30 58,12 52,50 40,100
9 x2 a curved tail
    62,16 40,1 14,10 10,36 34,46 56,34 64,8! 63,50 55,84 30,99 8,88
9 x2 an oval and a stem from its top
    54,6 30,4 10,22 10,40 30,46 52,28 54,6 | 58,4 56,50 54,100
9 x2 a slanting, curved stem
    64,10 44,0 22,12 16,32 32,42 54,28 68,8! 50,54 20,100
9 x1.5 a wide loop, left open at the top
    54,2 26,6 6,26 14,44 38,42 64,20! 60,60 58,100
9 x3 clockwise from the middle, round at the shoulder
    54,38 30,48 10,34 16,10 40,0 58,14 56,46 48,100
9 x2 a large loop, a short stem
    66,8 40,0 12,16 4,44 18,62 44,54 64,26 70,8! 68,50 66,100
9 x1.5 a small loop on a long stem
    46,6 28,2 14,14 18,30 36,32 48,16 54,4! 50,50 42,100
9 x2.5 the loop left open, its start away from the stem
    46,6 26,6 10,26 22,45 44,34 58,8! 54,50 46,100
9 x1.5 the loop left open, the stem from its lower end
    62,6 34,4 14,20 20,38 44,38 58,26! 54,60 40,100
"""


@dataclass(frozen=True)
class Glyph:
    """One way to write a digit.

    digit: the class, 0 to 9.
    weight: how often it is written in this way, relative to the digit's other glyphs.
    name: a description.
    points: the control points (x, y), y down, in units of the digit's height.
    pieces: the smooth pieces of the path, each as the numbers of its points; two pieces that meet
        in a corner share a point.
    """

    digit: int
    weight: float
    name: str
    points: tuple[Point, ...]
    pieces: tuple[tuple[int, ...], ...]


def parse_glyph(headline: str, path: str) -> Glyph:
    """A glyph from the two parts of its entry in the table."""
    digit, weight, name = headline.split(maxsplit=2)
    points: list[Point] = []
    pieces: list[tuple[int, ...]] = []
    for stroke in path.split("|"):
        piece: list[int] = []
        for point in stroke.split():
            x, y = point.removesuffix("!").split(",")
            piece.append(len(points))
            points.append((int(x) / 100, int(y) / 100))
            if point.endswith("!"):
                pieces.append(tuple(piece))
                piece = piece[-1:]
        pieces.append(tuple(piece))
    return Glyph(int(digit), float(weight.removeprefix("x")), name, tuple(points), tuple(pieces))


def _entries(table: str) -> Iterator[tuple[str, str]]:
    """The headline and the path of each entry."""
    headline, path = "", ""
    for line in table.splitlines():
        if line.startswith(" "):
            path += line
        elif line:
            if headline:
                yield headline, path
            headline, path = line, ""
    yield headline, path


#: Every glyph of every digit.
GLYPHS = tuple(parse_glyph(headline, path) for headline, path in _entries(_TABLE))
