"""Training and fine-tuning of the networks that vidsr runs.

config.py  options.py  rules.py  recipes.py   what a user chooses; nothing there loads torch
run.py                                        a run from its configuration or its folder to its end
loop.py                                       READ THIS FIRST: one iteration, and when a run ends
data/  degrade/  feed.py                      from films and pictures to batches on the device
generator.py  nets/  losses/  adversary.py    what learns, and from what
optim.py  schedule.py  ema.py  distributed.py how it learns
state.py  checkpoint.py  tree.py  rng.py      what is kept, so that a run goes on as if it had not stopped
watch.py  validate.py  metrics/  log.py       what is looked at meanwhile
export.py  reference.py                       what comes out
"""
