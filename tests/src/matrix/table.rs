//! Rows as a table that people read, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::row::{Row, Step};

/// What differs between cells.
pub const VARIED: [&str; 7] = ["peer", "ESP", "profile", "mode", "selectors", "link", "restart"];
/// What is done in each cell while traffic flows, in order.
pub const STEPS: [&str; 7] = [
    "begin",
    "demand",
    "child, by us",
    "child, by peer",
    "IKE, by us",
    "IKE, by peer",
    "restart",
];

/// A heading per set of parties, and below it a table with a line per cell; what failed is told in words at the end.
/// `revision` is that of the sources.
pub fn markdown(rows: &[Row], revision: &str) -> String {
    let parties: BTreeSet<&str> = rows.iter().map(|row| row.parties.as_str()).collect();
    let mut text = String::new();
    for parties in parties {
        let here: Vec<&Row> = rows.iter().filter(|row| row.parties == parties).collect();
        let failed = here.iter().filter(|row| row.failure.is_some()).count();
        let _infallible = write!(
            text,
            "### {parties}; revision {revision}\n\n{} cells, {failed} failed. Steps: pings lost/sent, all directions \
             together; where a tunnel may pause also the longest silence; in brackets what the peer's own kernel had \
             no state for.\n\n",
            here.len()
        );
        text += &table(&here);
        for row in &here {
            if let Some(failure) = &row.failure {
                let _infallible = write!(text, "\nFAILED {}: {failure}\n", row.varied.join(","));
            }
        }
        text.push('\n');
    }
    text
}

fn table(rows: &[&Row]) -> String {
    let title = VARIED.iter().chain(&STEPS).chain(&["time", "result"]);
    let mut lines = vec![title.map(|word| (*word).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns(row)));
    let count = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    lines.insert(1, rule);
    let mut text = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            let _infallible = write!(text, "| {cell:<width$} ");
        }
        text += "|\n";
    }
    text
}

fn columns(row: &Row) -> Vec<String> {
    let step = |name: &&str| {
        let found = row.steps.iter().find(|step| step.name == **name);
        found.map_or_else(|| "-".to_owned(), told)
    };
    let result = if row.failure.is_some() { "FAILED" } else { "passed" };
    let end = [seconds(row.milliseconds), result.to_owned()];
    let varied = row.varied.iter().cloned();
    varied.chain(STEPS.iter().map(step)).chain(end).collect()
}

fn told(step: &Step) -> String {
    let mut lost = format!("{}/{}", step.lost, step.sent);
    if step.lost_by_peer > 0 && step.lost > 0 {
        lost += &format!(" (peer {})", step.lost_by_peer);
    }
    if matches!(step.name.as_str(), "demand" | "restart") {
        format!("{lost}, {}", seconds(step.silence_milliseconds))
    } else {
        lost
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds / 100 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(failure: Option<&str>) -> Row {
        Row {
            parties: "Causeway 0.1.0, strongSwan 5.9.8".to_owned(),
            varied: VARIED.iter().map(|word| format!("some {word}")).collect(),
            steps: vec![Step {
                name: "restart".to_owned(),
                lost: 3,
                lost_by_peer: 1,
                sent: 120,
                silence_milliseconds: 1250,
            }],
            milliseconds: 4321,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn a_row_survives_the_way_through_the_output() {
        let row = row(Some("restart: nothing\ncame back"));
        let line = row.line().unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(Row::parse(&line), Some(row));
        assert_eq!(Row::parse("test result: ok"), None);
    }

    #[test]
    fn the_table_has_a_line_per_cell_and_names_what_failed() {
        let text = markdown(&[row(None), row(Some("restart: nothing came back"))], "abc1234");
        assert!(text.contains("strongSwan 5.9.8; revision abc1234"), "{text}");
        assert!(text.contains("2 cells, 1 failed"), "{text}");
        assert!(text.contains("| some link | some restart | -     |"), "{text}");
        assert!(
            text.contains("| 3/120 (peer 1), 1.2 s | 4.3 s | passed |"),
            "{text}"
        );
        assert!(
            text.contains("| 3/120 (peer 1), 1.2 s | 4.3 s | FAILED |"),
            "{text}"
        );
        assert!(
            text.contains("some restart: restart: nothing came back"),
            "{text}"
        );
        let widths: BTreeSet<usize> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(str::len)
            .collect();
        assert_eq!(widths.len(), 1, "{text}");
    }
}
