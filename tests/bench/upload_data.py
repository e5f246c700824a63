"""The models of upload.sh. upload_data.py KIND DIR MIB

Files under DIR (made): A float32 weights in 4 files, MIB in all; B 2,000 files of 100 KiB; C 50 KiB; D a text and pruned, rounded weights,
MIB / 8 in all, which shrink by 30 % and more. Weights are normally distributed: their mantissas are noise, as those of trained ones are.
"""
import os
import sys

import numpy as np

rng = np.random.default_rng(7)


def weights(n):
    return (rng.standard_normal(n // 4, dtype=np.float32) * np.float32(0.05)).tobytes()


def sparse(n):
    """A third of zeros, 12 bits of mantissa."""
    a = rng.standard_normal(n // 4, dtype=np.float32)
    a[rng.random(a.size) < 0.33] = 0
    return (a.view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32).tobytes()


def text(n):
    """Words of Zipf's frequencies, each its own letters: a vocabulary's statistics, no file's repeats."""
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    words = ["".join(rng.choice(letters, rng.integers(2, 11))) for _ in range(20000)]
    picks = rng.zipf(1.3, n // 4) % len(words)
    return " ".join(words[i] for i in picks).encode()[:n]


def write(path, make, n, step=16 << 20):
    with open(path, "wb") as f:
        while n > 0:
            f.write(make(min(n, step)))
            n -= step


def main(kind, out, mib):
    os.makedirs(out)
    if kind == "A":
        for i in range(4):
            write(f"{out}/weights-{i}.bin", weights, mib << 18)
    elif kind == "B":
        for i in range(2000):
            write(f"{out}/part-{i:04}.bin", weights, 100 << 10)
    elif kind == "C":
        beside = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(os.path.dirname(out)) for f in fs)
        write(f"{out}/weights.bin", weights, (50 << 10) - beside)
    else:
        write(f"{out}/sparse.bin", sparse, mib << 16)
        write(f"{out}/vocabulary.txt", text, mib << 16, 4 << 20)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
