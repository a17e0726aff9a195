//! Which selector lines the datapath watches, because their Child SAs are made when a packet wants through.

use crate::v2::lines::comes_with_tunnel;
use crate::v2::nat::Path;
use crate::{Action, Connection, ConnectionName, SelectorLine, Watched};

/// What the datapath watches for one connection.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The outer addresses that it was told.
    between: Option<Path>,
    /// It was told of every line, since there is no IKE SA until a packet wants through.
    resting: bool,
}

impl Watch {
    /// An IKE SA between these addresses can make children: tells the datapath, if it does not know that.
    pub(crate) fn begin(
        &mut self,
        name: &ConnectionName,
        settings: &Connection,
        path: Path,
    ) -> Option<Action> {
        let rested = std::mem::take(&mut self.resting);
        if !rested && (self.between == Some(path) || settings.lines.len() < 2) {
            return None;
        }
        self.between = None;
        let lines = settings.lines.iter().enumerate();
        let on_demand = lines.filter(|(place, _)| !comes_with_tunnel(settings, *place));
        let watched: Vec<_> = on_demand.map(|line| watched(line, path)).collect();
        if !watched.is_empty() {
            self.between = Some(path);
        }
        (rested || !watched.is_empty()).then(|| Action::Watch(name.clone(), watched))
    }

    /// There is no IKE SA, and a packet of any line is to bring one about.
    pub(crate) fn rest(&mut self, name: &ConnectionName, settings: &Connection, path: Path) -> Action {
        (self.between, self.resting) = (Some(path), true);
        let lines = settings.lines.iter().enumerate();
        Action::Watch(name.clone(), lines.map(|line| watched(line, path)).collect())
    }

    /// Whether a packet of any line is to bring the connection up.
    pub(crate) fn rests(&self) -> bool {
        self.resting
    }

    /// No IKE SA can make children any more.
    pub(crate) fn end(&mut self, name: &ConnectionName) -> Option<Action> {
        self.resting = false;
        let watched = self.between.take();
        watched.map(|_| Action::Watch(name.clone(), Vec::new()))
    }
}

fn watched((line, selectors): (usize, &SelectorLine), path: Path) -> Watched {
    Watched {
        line,
        local: path.local,
        remote: path.remote,
        local_selectors: selectors.local.clone(),
        remote_selectors: selectors.remote.clone(),
    }
}
