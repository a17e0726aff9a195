//! Lines that come and go: on demand, refused, deleted, and made by both sides at once.
