use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::reader::segment;

/// One place where two documents differ.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// Where, as a JSON pointer (RFC 6901).
    pub path: String,
    /// What stood there; nothing if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there now; nothing if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Every place where `after` differs from `before`, by path. Arrays are told whole: their order has a meaning.
pub fn difference(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    match (before, after) {
        (before, after) if before == after => (),
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = format!("{path}/{}", segment(key));
                compare(&path, old.get(key), new.get(key), found);
            }
        }
        (before, after) => found.push(Difference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_place_is_told_with_what_stood_there_and_what_does() {
        let before = json!({ "a": { "x": 1, "gone": [1] }, "list": [1, 2], "same": true });
        let after = json!({ "a": { "x": 2, "ne/w": { "y": 3 } }, "list": [2, 1], "same": true });
        let told = serde_json::to_value(difference(&before, &after)).unwrap();
        assert_eq!(
            told,
            json!([
                { "path": "/a/gone", "before": [1] },
                { "path": "/a/ne~1w", "after": { "y": 3 } },
                { "path": "/a/x", "before": 1, "after": 2 },
                { "path": "/list", "before": [1, 2], "after": [2, 1] },
            ])
        );
        assert_eq!(difference(&before, &before), []);
    }
}
