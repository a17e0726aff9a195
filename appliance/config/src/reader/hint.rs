/// The candidate that was probably meant by `written`, if one of the first thousand is near enough.
pub(super) fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let written = plain(written);
    let allowance = 1 + written.len() / 4;
    candidates
        .into_iter()
        .take(1000)
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= allowance)
        .map(|candidate| (distance(&written, &plain(candidate)), candidate))
        .min()
        .filter(|(edits, _)| *edits <= allowance && *edits < written.len())
        .map(|(_, candidate)| candidate)
}

/// A segment of a JSON pointer, escaped as RFC 6901 §3 says.
pub(crate) fn segment(written: &str) -> String {
    shown(written).replace('~', "~0").replace('/', "~1")
}

/// `written` cut to a length that fits a line, control characters escaped.
pub(crate) fn shown(written: &str) -> String {
    const MOST: usize = 64;
    let mut shown = String::new();
    for character in written.chars().take(MOST) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if written.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Without what is most often got wrong: case and separators.
fn plain(text: &str) -> Vec<char> {
    let separator = |character: &char| matches!(character, '-' | '_' | ' ' | '.');
    text.chars()
        .take(64)
        .filter(|character| !separator(character))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Insertions, removals, replacements and swaps of neighbours that lead from one text to the other (optimal string
/// alignment).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut last: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut left_before = None;
    for (line, left) in from.iter().enumerate() {
        let mut next = vec![line + 1];
        let mut right_before = None;
        for (column, right) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&row, column) + usize::from(left != right);
            let edits = replaced.min(at(&row, column + 1) + 1).min(at(&next, column) + 1);
            let swapped = left_before == Some(right) && right_before == Some(left);
            next.push(if swapped {
                edits.min(at(&last, column - 1) + 1)
            } else {
                edits
            });
            right_before = Some(right);
        }
        last = std::mem::replace(&mut row, next);
        left_before = Some(left);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        let edits = |from, to| distance(&plain(from), &plain(to));
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "SAME"), 0);
        assert_eq!(edits("flaw", "lawn"), 2);
        assert_eq!(edits("gmc", "gcm"), 1);
        assert_eq!(edits("ab", "ba"), 1);
    }

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["GCMAES128", "GCMAES256", "AES256", "AES128"];
        assert_eq!(nearest("aes-256", words), Some("AES256"));
        assert_eq!(nearest("GCM-AES-256", words), Some("GCMAES256"));
        assert_eq!(nearest("chacha", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 65);
    }
}
