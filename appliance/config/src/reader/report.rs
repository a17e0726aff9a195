use std::cell::{Cell, RefCell};

use super::hint::nearest;
use crate::{Problem, Reason};

/// All that was found wrong so far.
#[derive(Default)]
pub(crate) struct Report {
    problems: RefCell<Vec<Problem>>,
    more: Cell<usize>,
}

impl Report {
    /// How many problems are kept; the rest is only counted, so that a hostile document cannot fill the memory.
    const MOST: usize = 200;

    pub(crate) fn add(&self, path: &str, reason: Reason, detail: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < Self::MOST {
            problems.push(Problem {
                path: path.to_owned(),
                reason,
                detail: detail.into(),
            });
        } else {
            self.more.set(self.more.get() + 1);
        }
    }

    /// Which of `candidates` was probably meant, as the end of a sentence; nothing once the report is full.
    pub(super) fn hint<'c>(&self, written: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
        let full = self.problems.borrow().len() >= Self::MOST;
        let near = if full { None } else { nearest(written, candidates) };
        near.map_or_else(String::new, |word| format!("; did you mean \"{word}\"?"))
    }

    /// What was found, by path.
    pub(crate) fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|one, other| (&one.path, one.reason).cmp(&(&other.path, other.reason)));
        if self.more.get() > 0 {
            let detail = format!("{} more are not listed", self.more.get());
            problems.push(Problem {
                path: String::new(),
                reason: Reason::TooManyProblems,
                detail,
            });
        }
        problems
    }
}
