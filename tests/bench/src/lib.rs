//! What the measurements share; each measurement is a binary of its own in `bin/`.
