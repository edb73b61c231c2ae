//! How far a node has come in going down.

use synod_types::{Error, ErrorCode};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Serving,
    /// It takes no new calls. Session streams go on, because their requests are answered with who leads now.
    HandingOver,
    /// It takes nothing, and finishes what it has taken.
    Closing,
}

/// How far a node has come in going down. It never comes back.
#[derive(Debug, Default)]
pub(crate) struct Drain(watch::Sender<Stage>);

impl Drain {
    /// The node hands over what it leads.
    pub(crate) fn hand_over(&self) {
        self.0.send_replace(Stage::HandingOver);
    }

    /// The node takes nothing any more.
    pub(crate) fn close(&self) {
        self.0.send_replace(Stage::Closing);
    }

    /// Whether the node goes down.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow() != Stage::Serving
    }

    /// Returns when the node begins to go down.
    pub(crate) async fn begun(&self) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|stage| *stage != Stage::Serving).await;
    }

    /// Whether a call may begin.
    ///
    /// # Errors
    /// A definite [`ErrorCode::Unavailable`].
    pub(crate) fn admit_call(&self) -> Result<(), Error> {
        self.admit_before(Stage::HandingOver)
    }

    /// Whether a session stream, or a request of one, may begin.
    ///
    /// # Errors
    /// A definite [`ErrorCode::Unavailable`].
    pub(crate) fn admit_stream(&self) -> Result<(), Error> {
        self.admit_before(Stage::Closing)
    }

    fn admit_before(&self, stage: Stage) -> Result<(), Error> {
        if *self.0.borrow() < stage {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Unavailable, "the node is shutting down: go to another one"))
    }
}
