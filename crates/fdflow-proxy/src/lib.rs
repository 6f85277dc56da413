//! What a TCP proxy has to know besides moving bytes. Pure: no sockets, no runtime, no clock.
//!
//! | module | subject |
//! |---|---|
//! | [`balance`] | which upstream takes the next flow |
//! | [`header`] | the PROXY protocol, versions 1 and 2, read and written |
//! | [`health`] | whether an upstream may be given flows |
//! | [`hello`] | the server name in a TLS ClientHello, and rules that choose by it |
//! | [`networks`] | who may connect |

pub mod balance;
pub mod header;
pub mod health;
pub mod hello;
pub mod networks;

pub use balance::{Balance, BalanceError, Balancer, Candidate};
pub use header::{Header, HeaderError, HeaderFault, Place, Version, VersionError};
pub use health::{Health, State};
pub use hello::{HelloError, HelloFault, NameRules, PatternError, server_name};
pub use networks::{Access, Network, NetworkError, Networks};

/// What came of reading the beginning of a stream.
///
/// ```
/// use fdflow_proxy::Parsed;
/// use fdflow_proxy::header::{Header, parse};
///
/// # fn main() -> Result<(), fdflow_proxy::HeaderError> {
/// assert_eq!(parse(b"PROXY UNK")?, Parsed::More);
/// let whole = parse(b"PROXY UNKNOWN\r\nSSH-2.0")?;
/// assert_eq!(whole, Parsed::Done { value: Header::Local, length: 15 });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<T> {
    /// All is well so far, and more bytes are needed.
    More,
    /// It is whole.
    Done {
        /// What was read.
        value: T,
        /// How many bytes of the input it took; what follows belongs to the stream.
        length: usize,
    },
}
