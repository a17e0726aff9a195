//! The bodies of the fuzz targets, so that the stored corpus also runs under a stable compiler.
