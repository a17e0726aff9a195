use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::KeyError;

/// How many may wait for a provider; each is an authentication of a tunnel.
const MOST_WAITING: usize = 1024;

/// How many calls a provider has at a time, and how many wait for their turn: both are bounded.
#[derive(Debug)]
pub(crate) struct Outstanding {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    most: usize,
}

impl Outstanding {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(most)),
            waiting: Semaphore::new(MOST_WAITING),
            most,
        }
    }

    /// Waits for a turn, which lasts until what is returned is dropped. Whoever stops waiting leaves the queue.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, KeyError> {
        let slow = |what| KeyError::SignerSlow(format!("{} signatures are under way, {what}", self.most));
        let _place = self
            .waiting
            .try_acquire()
            .map_err(|_| slow("and as many wait as may"))?;
        let turn = Arc::clone(&self.running).acquire_owned().await;
        turn.map_err(|_| slow("and no more are taken"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider that never answers has a queue of bounded length, and who gives up leaves it.
    #[tokio::test]
    async fn queue_is_bounded() {
        let outstanding = Arc::new(Outstanding::new(1));
        let turn = outstanding.turn().await.unwrap();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(outstanding.turn())).collect();
        for one in &mut waiting {
            assert!(futures_poll(one.as_mut()).is_none(), "there is no turn yet");
        }
        let refused = outstanding.turn().await.unwrap_err();
        assert_eq!(refused.word(), "signer-slow");
        drop(waiting.split_off(1));
        drop(turn);
        assert!(waiting.remove(0).await.is_ok());
        assert!(outstanding.turn().await.is_ok());
    }

    fn futures_poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
