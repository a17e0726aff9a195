//! What is asked, and what follows from the answers.

use crate::disk::{Disk, Found};
use crate::material::Material;
use crate::plan::needed;

/// What follows from a line that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// This is said, and an answer waited for.
    Ask(String),
    /// The disks are looked for again.
    Look,
    /// The disk of this number in the list is written, and its configuration kept or not.
    Write(usize, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Which,
    Keep(usize),
    Sure(usize, bool),
}

/// Asks for a disk and makes sure that it is meant.
#[derive(Debug)]
pub(crate) struct Dialogue {
    disks: Vec<Disk>,
    needed: u64,
    question: Question,
}

impl Dialogue {
    /// With these disks to choose from.
    pub(crate) fn new(disks: Vec<Disk>, material: &Material) -> Self {
        let needed = needed(material);
        Self {
            disks,
            needed,
            question: Question::Which,
        }
    }

    /// The disk of this number in the list.
    pub(crate) fn disk(&self, number: usize) -> Option<&Disk> {
        self.disks.get(number)
    }

    /// The list, and the first question.
    pub(crate) fn opening(&self) -> String {
        if self.disks.is_empty() {
            return "There is no disk here but the stick. Connect one and press Enter to look again:"
                .to_owned();
        }
        let mut text = String::new();
        for (number, disk) in (1..).zip(&self.disks) {
            text += &format!("  {number}  {disk}");
            if let Err(unfit) = disk.fits(self.needed) {
                text += &format!("  ({unfit})");
            }
            text += "\n";
        }
        text + "Which disk gets Causeway? Type its number, or press Enter to look again:"
    }

    /// Takes a line.
    pub(crate) fn hears(&mut self, line: &str) -> Next {
        match self.question {
            Question::Which => self.which(line.trim()),
            Question::Keep(disk) => match line.trim().to_ascii_lowercase().as_str() {
                "yes" => self.sure(disk, true),
                "no" => self.sure(disk, false),
                _ => Next::Ask("Keep the configuration? Type yes or no:".to_owned()),
            },
            Question::Sure(disk, keep) if line.trim() == "YES" => Next::Write(disk, keep),
            Question::Sure(..) => {
                self.question = Question::Which;
                Next::Ask(format!("Nothing was written.\n{}", self.opening()))
            }
        }
    }

    fn which(&mut self, line: &str) -> Next {
        if line.is_empty() {
            return Next::Look;
        }
        let number = line
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let Some((number, disk)) = number.and_then(|number| Some((number, self.disks.get(number)?))) else {
            return Next::Ask(format!("No disk has that number.\n{}", self.opening()));
        };
        if let Err(unfit) = disk.fits(self.needed) {
            return Next::Ask(format!(
                "Disk {line} cannot be used: {unfit}.\n{}",
                self.opening()
            ));
        }
        match &disk.found {
            Found::Causeway(_, Ok(_)) => {
                let asked = format!(
                    "Disk {line} has {}. Keep its configuration? Type yes or no:",
                    told(disk)
                );
                self.question = Question::Keep(number);
                Next::Ask(asked)
            }
            Found::Causeway(_, Err(why)) => {
                let reason = format!(
                    "The configuration on disk {line} cannot be kept: {}.\n",
                    why.why()
                );
                match self.sure(number, false) {
                    Next::Ask(text) => Next::Ask(reason + &text),
                    other @ (Next::Look | Next::Write(..)) => other,
                }
            }
            Found::Empty | Found::Data | Found::Partitions => self.sure(number, false),
        }
    }

    fn sure(&mut self, number: usize, keep: bool) -> Next {
        self.question = Question::Sure(number, keep);
        let disk = self.disks.get(number).map(Disk::to_string).unwrap_or_default();
        let disk = disk.trim_start();
        Next::Ask(if keep {
            format!(
                "Disk {} gets the new system beside the old one and keeps its configuration:\n  {disk}\nType YES to write it:",
                number + 1
            )
        } else {
            format!(
                "Disk {} loses all that is on it:\n  {disk}\nType YES to write it:",
                number + 1
            )
        })
    }
}

fn told(disk: &Disk) -> String {
    match &disk.found {
        Found::Causeway(version, _) => format!("Causeway {version}"),
        Found::Empty | Found::Data | Found::Partitions => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use image_slots::{Slot, Table};

    use super::*;
    use crate::disk::{Kept, NotKept};
    use crate::material::tests::{content, material};

    fn disk(octets: u64, found: Found) -> Disk {
        let (name, model, serial) = ("sda".to_owned(), "Disk".to_owned(), "S1".to_owned());
        Disk {
            name,
            octets,
            model,
            serial,
            sector: 512,
            found,
        }
    }

    fn ask(next: Next) -> String {
        match next {
            Next::Ask(text) => text,
            Next::Look | Next::Write(..) => panic!("{next:?}"),
        }
    }

    fn installed() -> Kept {
        let table = Table {
            good: Slot::A,
            tries: None,
            a: Some(content(9)),
            b: None,
        };
        Kept {
            table,
            place: 2 << 20,
            runs: content(9),
        }
    }

    #[test]
    fn a_disk_is_written_after_its_number_and_yes_in_capitals() {
        let mut dialogue = Dialogue::new(vec![disk(1 << 30, Found::Empty)], &material());
        assert!(
            dialogue.opening().contains("1.0 GB  sda  Disk  serial S1  empty"),
            "{}",
            dialogue.opening()
        );
        assert!(ask(dialogue.hears("1")).contains("loses all"));
        assert!(ask(dialogue.hears("yes")).contains("Nothing was written"));
        assert!(ask(dialogue.hears("2")).contains("No disk has that number"));
        assert!(ask(dialogue.hears("0")).contains("No disk has that number"));
        ask(dialogue.hears(" 1 "));
        assert_eq!(dialogue.hears("YES"), Next::Write(0, false));
    }

    #[test]
    fn a_disk_that_cannot_be_used_is_never_written() {
        let mut small = disk(10 << 20, Found::Empty);
        let mut dialogue = Dialogue::new(vec![small.clone()], &material());
        assert!(
            dialogue.opening().contains("(too small: 16 MB are needed)"),
            "{}",
            dialogue.opening()
        );
        assert!(ask(dialogue.hears("1")).contains("too small"));
        assert!(ask(dialogue.hears("YES")).contains("No disk"));
        (small.octets, small.sector) = (1 << 40, 4096);
        let mut dialogue = Dialogue::new(vec![small], &material());
        assert!(ask(dialogue.hears("1")).contains("sectors have 4096 octets"));
    }

    #[test]
    fn without_a_disk_it_says_so_and_looks_again() {
        let mut dialogue = Dialogue::new(vec![], &material());
        assert!(dialogue.opening().contains("no disk here but the stick"));
        assert_eq!(dialogue.hears(""), Next::Look);
    }

    #[test]
    fn a_configuration_is_kept_or_lost_as_somebody_says() {
        let found = Found::Causeway("0.1.0+9".to_owned(), Ok(Box::new(installed())));
        let mut dialogue = Dialogue::new(vec![disk(1 << 30, found)], &material());
        assert!(ask(dialogue.hears("1")).contains("Causeway 0.1.0+9. Keep"));
        assert!(ask(dialogue.hears("perhaps")).contains("yes or no"));
        assert!(ask(dialogue.hears("yes")).contains("keeps its configuration"));
        assert_eq!(dialogue.hears("YES"), Next::Write(0, true));
        dialogue.question = Question::Which;
        ask(dialogue.hears("1"));
        assert!(ask(dialogue.hears("no")).contains("loses all"));
        assert_eq!(dialogue.hears("YES"), Next::Write(0, false));
    }

    #[test]
    fn why_a_configuration_cannot_be_kept_is_said() {
        let found = Found::Causeway("0.2.0".to_owned(), Err(NotKept::Newer));
        let mut dialogue = Dialogue::new(vec![disk(1 << 30, found)], &material());
        let text = ask(dialogue.hears("1"));
        assert!(
            text.contains("cannot be kept: it is newer") && text.contains("loses all"),
            "{text}"
        );
    }
}
