"""Training data: films, pictures and pairs become samples, the same for the same key in any process.

options.py      what a user chooses; imports no torch
build.py        options to a `SampleSource`, the one thing that the loader needs
sampling.py     positions, orders and lanes: which sample is which, as pure arithmetic
mix.py          several sets in one run, by probability
streams.py      the sets themselves: pictures, pairs, clips
quarantine.py   files that cannot be read
loader.py       worker processes, batches on the device, time spent waiting
index.py        a film read once: times, checksums, cuts, damage      measure.py  what is measured of a frame
film.py         stretches of a film by seek, proven frame by frame    clips.py    which clips may be drawn
folders.py meta_info.py lmdb.py paired.py pictures.py                 files and how they are read
cutter.py       crop, mirror, turn and degrade, alike for LQ and GT
check.py        what is wrong with a data set                         sheet.py    samples to look at
"""
