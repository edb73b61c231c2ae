//! What has changed, as streams that outlive connections, leaders and restarts.
//!
//! A watcher is a position in the history of a partition. When its stream breaks, or it was too slow, it watches again
//! after its position, at whoever leads then: so nothing is missed and nothing comes twice. When the history does not
//! reach back that far any more, that is said, never skipped in silence.

mod cursor;
mod follow;
mod stream;

pub use cursor::Cursor;
pub(crate) use follow::{Follow, Followed, Start};
pub use stream::{Event, EventStream, Events};

use bytes::Bytes;
use synod_proto::session::v1::watch::Filter as WireFilter;

/// Which events of a primitive are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    #[default]
    All,
    Key(String),
    Prefix(String),
}

impl Filter {
    fn to_wire(&self) -> Option<WireFilter> {
        match self {
            Self::All => None,
            Self::Key(key) => Some(WireFilter::Key(Bytes::from(key.clone()))),
            Self::Prefix(prefix) => Some(WireFilter::Prefix(Bytes::from(prefix.clone()))),
        }
    }
}
