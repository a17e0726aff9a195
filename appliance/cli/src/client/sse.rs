use std::time::Duration;

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number, to go on after it.
    pub(crate) id: Option<String>,
    /// Its kind, if it is not the usual one.
    pub(crate) kind: Option<String>,
    pub(crate) data: String,
}

/// Reads a stream of them, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    event: Event,
    pause: Option<Duration>,
}

impl Reader {
    /// The events that end in this piece.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in piece {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            events.extend(self.take(line.trim_end_matches('\r')));
        }
        events
    }

    /// How long after a break the other side wants to be left alone.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// So much waits for its end.
    pub(super) fn len(&self) -> usize {
        self.line.len() + self.event.data.len()
    }

    fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Some(event).filter(|event| !event.data.is_empty());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "retry" => self.pause = value.parse().ok().map(Duration::from_millis).or(self.pause),
            "event" => self.event.kind = Some(value.to_owned()),
            "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
            "data" => self.event.data += &format!("\n{value}"),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_in_whatever_pieces_they_come() {
        let stream = b"retry: 2000\n: hello\n\nid: 7\ndata: {\"a\":\ndata: 1}\r\n\nevent: gap\ndata:x\n\nid: 8\ndata: cut";
        let expected = [
            Event {
                id: Some("7".to_owned()),
                kind: None,
                data: "{\"a\":\n1}".to_owned(),
            },
            Event {
                id: None,
                kind: Some("gap".to_owned()),
                data: "x".to_owned(),
            },
        ];
        for size in 1..stream.len() {
            let mut reader = Reader::default();
            let events: Vec<Event> = stream.chunks(size).flat_map(|piece| reader.read(piece)).collect();
            assert_eq!(events, expected, "{size}");
            assert_eq!(reader.pause(), Some(Duration::from_secs(2)));
        }
    }
}
