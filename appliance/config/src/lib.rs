//! The configuration document and its rules.
