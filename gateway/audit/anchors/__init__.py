"""What keeps the record honest from outside: its checkpoints, where whoever changes the record cannot change them.

A log by itself cannot show that it was put back, whole, to an older state, nor that it was written anew by somebody who
has the key of the running epoch. A checkpoint of it that stands elsewhere does. There are three places:

    directory.py    a directory, on another machine or another account: checkpoints are only ever appended
    peers.py        the records of other replicas: each writes down what it sees of the others
    witness_*.py    a witness (https://c2sp.org/tlog-witness), which signs only what continues what it has signed before

Nothing of this is in the way of a request: each place has a thread of its own, and what fails is an alarm.
"""
