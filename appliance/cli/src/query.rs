/// What stands after the question mark of a path (RFC 3986 §3.4).
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<String>);

impl Query {
    /// The same with one thing more, if there is something to say.
    pub(crate) fn and(mut self, key: &str, value: Option<&str>) -> Self {
        self.0
            .extend(value.map(|value| format!("{key}={}", percent_encoded(value))));
        self
    }

    /// The path with it.
    pub(crate) fn of(&self, path: &str) -> String {
        if self.0.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", self.0.join("&"))
        }
    }
}

/// As a query may have it (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
}
