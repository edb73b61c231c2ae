//! Exit codes, which are part of the interface, and how failures are told.

use std::io::{self, Write as _};
use std::process::ExitCode;

use synod_client::ErrorCode;

/// What every `--help` says about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  a fault of Synod or of this machine
  2  an argument is wrong; nothing was done
  3  what was asked for does not exist
  4  a condition does not hold: another version or value, something is there already, a lock is not free in time
  5  no answer can be had, and nothing was done: safe to try again
  6  no answer came: it may have been done, or may still be; read the state before you try again
  7  forbidden; for one, the name belongs to another kind of primitive
  8  the lock, or the leadership, was lost while the command ran
`lock run` and `election run` end as their command does: with its exit code, or 128 + the number of its signal.";

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const FAULT: Self = Self(1);
    pub(crate) const USAGE: Self = Self(2);
    pub(crate) const NOT_FOUND: Self = Self(3);
    pub(crate) const CONDITION: Self = Self(4);
    pub(crate) const UNAVAILABLE: Self = Self(5);
    pub(crate) const AMBIGUOUS: Self = Self(6);
    pub(crate) const FORBIDDEN: Self = Self(7);
    pub(crate) const LOST: Self = Self(8);
    /// As a shell says that a program cannot be run.
    pub(crate) const NOT_EXECUTABLE: Self = Self(126);
    /// As a shell says that there is no such program.
    pub(crate) const NO_PROGRAM: Self = Self(127);
    /// As a shell says that whoever read the output has gone.
    const BROKEN_PIPE: Self = Self(128 + 13);

    /// What an error of the client means for whoever called.
    fn of(error: &synod_client::Error) -> Self {
        if error.may_have_happened() {
            return Self::AMBIGUOUS;
        }
        match error.code() {
            ErrorCode::Invalid => Self::USAGE,
            ErrorCode::NotFound | ErrorCode::UnknownPrimitive => Self::NOT_FOUND,
            ErrorCode::AlreadyExists
            | ErrorCode::Conflict
            | ErrorCode::NotHeld
            | ErrorCode::Expired
            | ErrorCode::Compacted => Self::CONDITION,
            ErrorCode::Forbidden | ErrorCode::Unauthenticated => Self::FORBIDDEN,
            // A process that is started again has a session of its own.
            ErrorCode::SessionNotFound => Self::UNAVAILABLE,
            code if code.is_retryable() => Self::UNAVAILABLE,
            _ => Self::FAULT,
        }
    }

    /// That of a command that was killed by a signal.
    pub(crate) fn signalled(signal: i32) -> Self {
        Self(u8::try_from(signal).unwrap_or_default().saturating_add(128))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Nothing is said if it is empty.
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::USAGE, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NOT_FOUND, message)
    }

    /// What to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells it on standard error.
    pub(crate) fn report(&self) -> Exit {
        let mut text = String::new();
        if !self.message.is_empty() {
            text = format!("error: {}\n", self.message);
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        // Where nobody listens there is nobody to tell that either.
        let _ = io::stderr().write_all(text.as_bytes());
        self.exit
    }
}

impl From<synod_client::Error> for Failure {
    fn from(error: synod_client::Error) -> Self {
        let exit = Exit::of(&error);
        // The message of a refusal says what to do.
        let hint = error.hint().filter(|_| exit != Exit::FORBIDDEN).map(str::to_owned);
        Self { exit, message: error.message().to_owned(), hint }
    }
}

impl From<io::Error> for Failure {
    /// Something that could not be written to standard output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::BROKEN_PIPE, "");
        }
        Self::new(Exit::FAULT, format!("cannot write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use synod_client::Error;
    use synod_types::Error as Cause;

    use super::*;

    fn failure(code: ErrorCode) -> Failure {
        Error::from(Cause::new(code, "it went wrong")).into()
    }

    #[test]
    fn every_code_has_an_exit_code_that_says_what_to_do() {
        let expected = |code| match code {
            ErrorCode::Invalid => 2,
            ErrorCode::NotFound | ErrorCode::UnknownPrimitive => 3,
            ErrorCode::AlreadyExists | ErrorCode::Conflict | ErrorCode::NotHeld => 4,
            ErrorCode::Expired | ErrorCode::Compacted => 4,
            ErrorCode::NotLeader | ErrorCode::Unavailable | ErrorCode::Timeout => 5,
            ErrorCode::ResourceExhausted | ErrorCode::WrongPartition | ErrorCode::SessionNotFound => 5,
            ErrorCode::Forbidden | ErrorCode::Unauthenticated => 7,
            _ => 1,
        };
        for code in ErrorCode::ALL {
            assert_eq!(failure(code).exit, Exit(expected(code)), "{code}");
        }
    }

    #[test]
    fn what_may_have_happened_is_told_apart_whatever_the_code() {
        for code in ErrorCode::ALL {
            let error = Error::from(Cause::ambiguous(code, "no answer"));
            let failure = Failure::from(error);
            assert_eq!(failure.exit, Exit::AMBIGUOUS, "{code}");
            assert!(failure.hint.unwrap().contains("read the state"));
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_to_talk_about() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.exit, gone.message.as_str()), (Exit(141), ""));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit, Exit::FAULT);
        assert!(!full.message.is_empty());
    }

    #[test]
    fn the_help_names_every_code() {
        for Exit(code) in [Exit::SUCCESS, Exit::FAULT, Exit::USAGE, Exit::NOT_FOUND, Exit::CONDITION]
            .into_iter()
            .chain([Exit::UNAVAILABLE, Exit::AMBIGUOUS, Exit::FORBIDDEN, Exit::LOST])
        {
            assert!(HELP.contains(&format!("\n  {code}  ")), "{code}");
        }
    }

    #[test]
    fn a_signal_is_told_as_shells_do() {
        assert_eq!(Exit::signalled(15), Exit(143));
        assert_eq!(Exit::signalled(9), Exit(137));
    }
}
