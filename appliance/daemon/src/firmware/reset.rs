use tracing::warn;

use super::fault::FirmwareFault;
use super::owner::Firmware;
use crate::chronicle::News;

/// What a box is called that has no name of its own.
const NAMELESS: &str = "causeway";

impl Firmware {
    /// What the box is called.
    pub(super) fn name(&self) -> String {
        let view = self.sources.configuration.borrow();
        let running = view.running.as_ref();
        let name = running.and_then(|running| running.config.system.hostname.clone());
        name.unwrap_or_else(|| NAMELESS.to_owned())
    }

    /// Has the next start, which is now, wipe all that is kept; both systems stay. Whoever asks has to know which box it is.
    pub(crate) fn factory_reset(&self, author: &str, name: &str) -> Result<(), FirmwareFault> {
        let expected = self.name();
        if name != expected {
            return Err(FirmwareFault::OtherName { expected });
        }
        let _held = self.hold()?;
        self.slots.ask_for_reset()?;
        warn!(author, "factory-reset");
        self.sources.teller.tell(News::new("factory-reset").by(author));
        self.ask_for_restart()
    }
}
