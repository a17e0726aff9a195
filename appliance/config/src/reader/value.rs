use std::ops::RangeInclusive;

use serde_json::Number;

use super::hint::{segment as escaped, shown};
use super::{Object, Report};
use crate::Reason;
use crate::document::Node;
use crate::model::Name;

/// One value of the document, with where it stands. What it is asked for is given, or else reported.
#[derive(Clone)]
pub(crate) struct Value<'d> {
    node: &'d Node,
    path: String,
    report: &'d Report,
}

impl<'d> Value<'d> {
    pub(crate) fn root(node: &'d Node, report: &'d Report) -> Self {
        Self {
            node,
            path: String::new(),
            report,
        }
    }

    /// A value inside this one.
    pub(super) fn inside(&self, segment: &str, node: &'d Node) -> Self {
        let segment = escaped(segment);
        Self {
            node,
            path: format!("{}/{segment}", self.path),
            report: self.report,
        }
    }

    pub(super) fn at(&self, segment: &str) -> String {
        self.inside(segment, self.node).path
    }

    pub(super) fn report(&self) -> &'d Report {
        self.report
    }

    /// Something is wrong with this value.
    pub(crate) fn problem(&self, reason: Reason, detail: impl Into<String>) {
        self.report.add(&self.path, reason, detail);
    }

    pub(crate) fn object(&self) -> Option<Object<'d>> {
        match self.node {
            Node::Object(entries) => Some(Object::new(self.clone(), entries)),
            other => self.wrong_type("an object", other),
        }
    }

    pub(crate) fn text(&self) -> Option<&'d str> {
        match self.node {
            Node::Text(text) => Some(text),
            other => self.wrong_type("a string", other),
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.node {
            Node::Boolean(boolean) => Some(*boolean),
            other => self.wrong_type("true or false", other),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn whole<T: TryFrom<u64>>(&self, bounds: RangeInclusive<u64>) -> Option<T> {
        let number = match self.node {
            Node::Number(number) => number,
            other => return self.wrong_type("a number", other),
        };
        let within = |number: &Number| number.as_u64().filter(|number| bounds.contains(number));
        let found = within(number).and_then(|number| T::try_from(number).ok());
        if found.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            let expected = if least == most {
                least.to_string()
            } else {
                format!("a whole number from {least} to {most}")
            };
            self.problem(Reason::OutOfRange, format!("{number}; expected {expected}"));
        }
        found
    }

    /// Whether it is the number 0.
    pub(crate) fn is_zero(&self) -> bool {
        matches!(self.node, Node::Number(number) if number.as_u64() == Some(0))
    }

    /// Every element read by `read`; `None` if one of them was wrong.
    pub(crate) fn list<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        let elements = match self.node {
            Node::List(elements) => elements,
            other => return self.wrong_type("an array", other),
        };
        let read_all: Vec<Option<T>> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| read(&self.inside(&index.to_string(), element)))
            .collect();
        read_all.into_iter().collect()
    }

    /// One word of `words`; those of `later` are known, but not done by this version.
    pub(crate) fn word<T: Copy>(&self, words: &[(&'static str, T)], later: &[&'static str]) -> Option<T> {
        let text = self.text()?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word);
            let all = known.clone().collect::<Vec<_>>().join(", ");
            if later.contains(&text) {
                self.problem(
                    Reason::NotInThisVersion,
                    format!("{text} is not in this version; it has {all}"),
                );
            } else {
                let hint = self.report.hint(text, known.chain(later.iter().copied()));
                self.problem(
                    Reason::UnknownWord,
                    format!("\"{}\" is not one of {all}{hint}", shown(text)),
                );
            }
        }
        found
    }

    /// `text`, which stands here, is wrong.
    pub(crate) fn wrong<T>(&self, reason: Reason, text: &str, detail: &str) -> Option<T> {
        self.problem(reason, format!("\"{}\": {detail}", shown(text)));
        None
    }

    /// Something is wrong with one element of this list.
    pub(crate) fn element_problem(&self, index: usize, reason: Reason, detail: &str) {
        self.report.add(&self.at(&index.to_string()), reason, detail);
    }

    /// Which of `candidates` was probably meant, as the end of a sentence.
    pub(crate) fn nearest<'c>(&self, text: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
        self.report.hint(text, candidates)
    }

    /// A name; what is written instead is not repeated, for it may be a secret in the wrong place.
    pub(crate) fn name(&self) -> Option<Name> {
        let parsed = self.text()?.parse::<Name>();
        parsed
            .map_err(|error| self.problem(Reason::InvalidName, error.to_string()))
            .ok()
    }

    fn wrong_type<T>(&self, expected: &str, found: &Node) -> Option<T> {
        self.problem(
            Reason::WrongType,
            format!("is {}; expected {expected}", found.kind()),
        );
        None
    }
}
