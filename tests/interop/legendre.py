"""Our discretisation of the Legendre delay system equals scipy's zero-order hold.

Argument: the path of lmu, beside which the build keeps tests/print_legendre.
"""

import pathlib
import subprocess
import sys

import numpy
import scipy.signal

LIMIT = 1e-12
CASES = [(q, theta) for q in (1, 2, 3, 8, 13, 16, 32) for theta in (1.0, 4.0, 31.5, 32.0, 100.0, 1000.0)]
CASES += [(64, 100.0), (64, 1000.0), (64, 16384.0), (128, 1000.0)]


def system(order):
    """A and B of the design, section 3, in theta's units."""
    i, j = numpy.mgrid[0:order, 0:order]
    a = (2 * i + 1) * numpy.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    b = ((2 * i[:, 0] + 1) * (-1.0) ** i[:, 0])[:, None]
    return a, b


def ours(program, order, theta, scaled):
    text = subprocess.run([program, str(order), repr(theta), str(int(scaled))], check=True, capture_output=True, text=True)
    numbers = numpy.array(text.stdout.split(), dtype=float)
    return numbers[: order * order].reshape(order, order), numbers[order * order :, None]


def difference(mine, theirs):
    """Relative to the largest number, and absolute where that is below 1."""
    return numpy.abs(mine - theirs).max() / max(1.0, numpy.abs(theirs).max())


def main():
    program = pathlib.Path(sys.argv[1]).resolve().parent / "tests" / "print_legendre"
    worst = 0.0
    for order, theta in CASES:
        a, b = system(order)
        abar, bbar, *_ = scipy.signal.cont2discrete(
            (a / theta, b / theta, numpy.eye(order), numpy.zeros((order, 1))), 1.0, "zoh"
        )
        basis = numpy.sqrt(theta / (2 * numpy.arange(order) + 1))[:, None]
        for scaled in (False, True):
            mine = ours(program, order, theta, scaled)
            theirs = (basis * abar / basis.T, basis * bbar) if scaled else (abar, bbar)
            error = max(difference(x, y) for x, y in zip(mine, theirs))
            worst = max(worst, error)
            if error > LIMIT:
                print(f"order {order}, theta {theta}, scaled {scaled}: difference {error:.2e}")
    print(f"{2 * len(CASES)} systems, worst difference {worst:.1e}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
