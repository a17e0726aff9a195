//! What a measurement makes of its figures.

/// The middle one of what was measured; `None` of nothing.
pub fn median<T: Ord + Copy>(mut measured: Vec<T>) -> Option<T> {
    measured.sort_unstable();
    measured.get(measured.len() / 2).copied()
}

/// Prints one line of a result.
#[expect(clippy::print_stdout, reason = "a measurement prints its result")]
pub fn print(line: &str) {
    println!("{line}");
}
