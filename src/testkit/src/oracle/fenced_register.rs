//! A fenced register: a resource that remembers the greatest fence it has seen and refuses lower ones.
//!
//! It is what a lock is for: no service can stop a holder that was paused from acting late, but the resource can refuse
//! it. [`FencedRegister`] is such a resource; [`violations`] judges what any resource has accepted, one that does not
//! look at fences too.

use std::collections::BTreeMap;

/// A resource that keeps a number and refuses whoever comes with a lower fence than one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FencedRegister {
    greatest: u64,
    value: u64,
}

/// The access was refused: somebody with a greater fence was here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fence {fence} is refused: fence {greatest} was here before")]
pub struct Refused {
    /// The fence that came.
    pub fence: u64,
    /// The greatest fence before it.
    pub greatest: u64,
}

impl FencedRegister {
    /// Reads the number.
    ///
    /// # Errors
    /// [`Refused`] when a greater fence was here before.
    pub const fn read(&mut self, fence: u64) -> Result<u64, Refused> {
        match self.admit(fence) {
            Ok(()) => Ok(self.value),
            Err(refused) => Err(refused),
        }
    }

    /// Writes the number.
    ///
    /// # Errors
    /// [`Refused`] when a greater fence was here before.
    pub const fn write(&mut self, fence: u64, value: u64) -> Result<(), Refused> {
        match self.admit(fence) {
            Ok(()) => {
                self.value = value;
                Ok(())
            }
            Err(refused) => Err(refused),
        }
    }

    const fn admit(&mut self, fence: u64) -> Result<(), Refused> {
        if fence < self.greatest {
            return Err(Refused { fence, greatest: self.greatest });
        }
        self.greatest = fence;
        Ok(())
    }
}

/// One access to a resource under a lock that is held alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who came.
    pub holder: u64,
    /// With which fence.
    pub fence: u64,
    /// Whether the resource let it.
    pub accepted: bool,
}

/// What is wrong. Accesses are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A holder that had lost the lock was accepted after the next holder had come.
    #[error("access #{access} with fence {fence} was accepted after fence {greatest} had come")]
    StaleAccepted {
        /// Which access.
        access: usize,
        /// Its fence.
        fence: u64,
        /// The greatest fence before it.
        greatest: u64,
    },
    /// A holder was refused although nobody had come with a greater fence.
    #[error(
        "access #{access} with fence {fence} was refused, and the greatest fence before it is {greatest}"
    )]
    CurrentRefused {
        /// Which access.
        access: usize,
        /// Its fence.
        fence: u64,
        /// The greatest fence before it.
        greatest: u64,
    },
    /// Two holders came with the same fence, which protects neither from the other.
    #[error("access #{access} by holder {second} has the fence {fence} of holder {first}")]
    SharedFence {
        /// The access of the second holder.
        access: usize,
        /// The fence.
        fence: u64,
        /// Who came with it first.
        first: u64,
        /// Who else came with it.
        second: u64,
    },
}

/// Replays what came to a resource, in the order of the resource, in O(n log n).
pub fn violations(accesses: &[Access]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut greatest = 0;
    let mut holders = BTreeMap::new();
    for (access, Access { holder, fence, accepted }) in accesses.iter().copied().enumerate() {
        if accepted && fence < greatest {
            violations.push(Violation::StaleAccepted { access, fence, greatest });
        } else if !accepted && fence >= greatest {
            violations.push(Violation::CurrentRefused { access, fence, greatest });
        }
        let first = *holders.entry(fence).or_insert(holder);
        if first != holder {
            violations.push(Violation::SharedFence { access, fence, first, second: holder });
        }
        if accepted {
            greatest = greatest.max(fence);
        }
    }
    violations
}
