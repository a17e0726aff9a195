use std::collections::VecDeque;

use ike::Input;
use tokio::sync::mpsc;

/// What the engine is told unasked. It never waits: what finds no room stays here until there is some.
#[derive(Debug)]
pub(super) struct Telling {
    engine: mpsc::Sender<Input>,
    waiting: VecDeque<Input>,
}

impl Telling {
    pub(super) fn new(engine: mpsc::Sender<Input>) -> Self {
        let waiting = VecDeque::new();
        Self { engine, waiting }
    }

    /// Tells a fact of which there are not more than there are children.
    pub(super) fn tell(&mut self, input: Input) {
        self.waiting.push_back(input);
        self.tell_waiting();
    }

    /// Tells a fact that comes again if there is no room for it.
    pub(super) fn tell_if_room(&mut self, input: Input) {
        if self.waiting.is_empty() {
            let _told_again = self.engine.try_send(input);
        }
    }

    fn tell_waiting(&mut self) {
        while !self.waiting.is_empty()
            && let Ok(room) = self.engine.try_reserve()
            && let Some(input) = self.waiting.pop_front()
        {
            room.send(input);
        }
    }

    /// Tells what waits as soon as there is room; never ends while nothing waits. Cancelling loses nothing.
    pub(super) async fn room(&mut self) {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        match self.engine.reserve().await {
            Ok(room) => drop(room),
            // Only when everything stops.
            Err(_) => self.waiting.clear(),
        }
        self.tell_waiting();
    }
}
