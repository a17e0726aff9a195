/// One verb at one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// In lower case.
    pub(super) verb: &'static str,
    /// Below `/api/v1`, as it is told.
    pub(super) path: &'static str,
    /// In one line.
    pub(super) summary: &'static str,
    /// Names of what may stand after the question mark.
    pub(super) query: &'static [&'static str],
    /// What If-Match is to it.
    pub(super) condition: Condition,
    /// What is sent.
    pub(super) body: Body,
    /// What comes back, with which status.
    pub(super) answer: (u16, Answer),
    /// The answer has an ETag.
    pub(super) tagged: bool,
}

/// What If-Match is to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing.
    Unused,
    /// It is heeded where it is there.
    Optional,
    /// Without it nothing is done.
    Needed,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// A merge patch (RFC 7396).
    MergePatch,
    /// A document, or a merge patch of it.
    DocumentOrPatch,
    /// Octets that are taken as they are.
    Octets,
    /// The same, or JSON of this schema.
    OctetsOrJson(&'static str),
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// By name, JSON of this schema each.
    ByName(&'static str),
    /// Any JSON.
    Any,
    /// Events, or lines of a log: a list of this schema, or a stream of them.
    Events(&'static str),
    /// OpenMetrics.
    Metrics,
    /// Octets: a file.
    File,
}

impl Operation {
    /// A verb at a path, that needs nothing and answers with nothing.
    pub(super) const fn new(verb: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            verb,
            path,
            summary,
            query: &[],
            condition: Condition::Unused,
            body: Body::Nothing,
            answer: (204, Answer::Nothing),
            tagged: false,
        }
    }

    /// The same with what may stand after the question mark.
    pub(super) const fn asks(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// The same with a body.
    pub(super) const fn takes(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// The same with an answer of status 200.
    pub(super) const fn tells(self, answer: Answer) -> Self {
        Self {
            answer: (200, answer),
            ..self
        }
    }

    /// The same, with an answer of status 201.
    pub(super) const fn makes(self, answer: Answer) -> Self {
        Self {
            answer: (201, answer),
            ..self
        }
    }

    /// The same, answered before it is done.
    pub(super) const fn begins(self) -> Self {
        Self {
            answer: (202, Answer::Nothing),
            ..self
        }
    }

    /// The same with the generation as ETag.
    pub(super) const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    /// The same with If-Match.
    pub(super) const fn under(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }
}
