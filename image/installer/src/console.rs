//! The screen with its keyboard, and the serial line: both say the same, and both are listened to.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Where somebody may be.
const PLACES: [&str; 2] = ["/dev/tty1", "/dev/ttyS0"];

/// Those of them that there are.
pub(crate) struct Console {
    places: Vec<File>,
    lines: Receiver<String>,
}

impl Console {
    /// Opens them; a place that is not there is left out.
    pub(crate) fn open() -> Self {
        let (sender, lines) = channel();
        let mut places = Vec::new();
        for place in PLACES {
            let Ok(file) = OpenOptions::new().read(true).write(true).open(place) else {
                continue;
            };
            if let Ok(reader) = file.try_clone() {
                let sender = sender.clone();
                thread::spawn(move || {
                    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                        if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                            return;
                        }
                    }
                });
            }
            places.push(file);
        }
        Self { places, lines }
    }

    /// Says a line, or several.
    pub(crate) fn say(&mut self, text: &str) {
        for place in &mut self.places {
            // Somebody may be at the other one.
            let _unseen = place.write_all(format!("{text}\n").as_bytes());
        }
    }

    /// The next line that somebody types; none when nobody can any more.
    pub(crate) fn hear(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// Forgets what was typed before it was asked for.
    pub(crate) fn forget(&self) {
        while self.lines.try_recv().is_ok() {}
    }
}
