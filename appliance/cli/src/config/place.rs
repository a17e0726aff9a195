use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The line, counted from 0, on which stands what a JSON pointer (RFC 6901) names, or else what it would be in.
pub(super) fn line_of(text: &str, pointer: &str) -> usize {
    let mut offset = 0;
    let mut inside = text;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let Some(item) = item(inside, &token) else { break };
        offset = item.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        inside = item;
    }
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count()
}

fn item<'a>(text: &'a str, token: &str) -> Option<&'a str> {
    if let Ok(items) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        return items.get(token).map(|item| item.get());
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    items.get(token.parse::<usize>().ok()?).map(|item| item.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_looked_for_where_it_would_be() {
        let text = "{\n \"sites\": {\n  \"a/b\": {\n   \"prefixes\": [\n    1,\n    2\n   ]\n  }\n }\n}";
        for (pointer, line) in [
            ("", 0),
            ("/sites", 1),
            ("/sites/a~1b", 2),
            ("/sites/a~1b/prefixes/1", 5),
            ("/sites/a~1b/prefixes/7", 3),
            ("/sites/a~1b/endpoint", 2),
            ("/gateway/mtu", 0),
        ] {
            assert_eq!(line_of(text, pointer), line, "{pointer}");
        }
    }
}
