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

/// Insertions, removals and replacements that lead from one text to the other (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.iter().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut next = vec![before];
        for (right, above) in to.iter().zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(left != right))
                .min(above + 1)
                .min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
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
