//! Exit codes: the table that `unet-vol --help` and the README show.

use unet_vol::{Error, ErrorKind};

/// What the process says to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Internal = 1,
    Usage = 2,
    Malformed = 3,
    Unsupported = 4,
    Model = 5,
    Limit = 6,
    SomeFailed = 7,
    Output = 8,
    Empty = 9,
    Interrupted = 130,
}

/// The table, in the words of the help text.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  done
    1  internal error, or the certificate of an output failed
    2  usage: options that do not go together, an output that exists already
    3  the input cannot be read or is malformed
    4  the input is of a kind that is not supported
    5  model or runtime library
    6  over a limit of memory or size
    7  some cases of several failed
    8  the output cannot be written
    9  empty result with --fail-on-empty
  130  interrupted";

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Malformed => Self::Malformed,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Model => Self::Model,
            ErrorKind::Limit => Self::Limit,
            ErrorKind::Output => Self::Output,
            ErrorKind::Empty => Self::Empty,
            ErrorKind::Interrupted => Self::Interrupted,
            _ => Self::Internal,
        }
    }
}
