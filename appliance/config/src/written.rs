use serde_json::{Map, Value};

use crate::document::Node;
use crate::reader::segment;
use crate::{Config, Problem, Reason};

impl Config {
    /// The document as plain JSON.
    ///
    /// # Errors
    /// Every key that stands twice, for plain JSON has it once.
    pub fn value(&self) -> Result<Value, Vec<Problem>> {
        let mut problems = Vec::new();
        let value = value(&self.0, "", &mut problems);
        if problems.is_empty() {
            Ok(value)
        } else {
            Err(problems)
        }
    }
}

impl From<&Value> for Config {
    fn from(value: &Value) -> Self {
        Self(node(value))
    }
}

/// The document as it is stored and compared: keys in order, and none whose value is `null`, for that says as much as
/// leaving it out (RFC 7396 §1 has no other use for it either).
pub fn canonical(document: &Value) -> Value {
    match document {
        Value::Object(members) => {
            let mut kept: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            kept.sort_unstable_by_key(|(key, _)| *key);
            let members = kept
                .into_iter()
                .map(|(key, value)| (key.clone(), canonical(value)));
            Value::Object(members.collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => document.clone(),
    }
}

fn value(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Boolean(boolean) => Value::Bool(*boolean),
        Node::Number(number) => Value::Number(number.clone()),
        Node::Text(text) => Value::String(text.clone()),
        Node::List(list) => {
            let elements = list.iter().enumerate();
            let element = |(index, node)| value(node, &format!("{path}/{index}"), problems);
            Value::Array(elements.map(element).collect())
        }
        Node::Object(entries) => {
            let mut object = Map::new();
            for (key, node) in entries {
                let path = format!("{path}/{}", segment(key));
                let value = value(node, &path, problems);
                if object.insert(key.clone(), value).is_some() {
                    problems.push(Problem {
                        path,
                        reason: Reason::DuplicateKey,
                        detail: "stands twice here; keep one".to_owned(),
                    });
                }
            }
            Value::Object(object)
        }
    }
}

fn node(value: &Value) -> Node {
    match value {
        Value::Null => Node::Null,
        Value::Bool(boolean) => Node::Boolean(*boolean),
        Value::Number(number) => Node::Number(number.clone()),
        Value::String(text) => Node::Text(text.clone()),
        Value::Array(elements) => Node::List(elements.iter().map(node).collect()),
        Value::Object(members) => Node::Object(
            members
                .iter()
                .map(|(key, value)| (key.clone(), node(value)))
                .collect(),
        ),
    }
}
