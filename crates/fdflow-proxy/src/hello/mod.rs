//! The ClientHello: for whom a TLS connection is meant, read without ending TLS.
//!
//! [`server_name`] reads it from the first bytes of a stream; [`NameRules`] chooses by it. Records
//! as in RFC 8446, section 5.1, the hello as in 4.1.2, the name as in RFC 6066, section 3. With
//! encrypted hellos (ECH) it is the public name that is seen.

mod error;
mod message;
mod name;
mod records;
mod rules;

pub use error::{HelloError, HelloFault};
pub use rules::{NameRules, PatternError};

use crate::Parsed;

/// A hello that is longer than this, without the heads of its records, is refused: 16 KiB.
///
/// Those of browsers with post-quantum keys have some 2 KiB.
///
/// ```
/// use fdflow_proxy::hello::{HelloError, server_name};
///
/// // A handshake message of 0x4000 bytes and its own head.
/// let hello = [22, 3, 1, 0x40, 0, 1, 0, 0x40, 0];
/// assert_eq!(server_name(&hello), Err(HelloError::TooLong));
/// ```
pub const MAX_HELLO: usize = 16 * 1024;

/// No more bytes than this are asked for, heads of records included: 32 KiB.
///
/// A client may cut its hello into records of a byte each, which makes it six times as long.
///
/// ```
/// use fdflow_proxy::Parsed;
/// use fdflow_proxy::hello::{HelloError, MAX_LENGTH, server_name};
///
/// // A hello of 0x2000 bytes, which come one by one, each in a record of its own.
/// let mut pieces = vec![22, 3, 1, 0, 1, 1, 22, 3, 1, 0, 1, 0, 22, 3, 1, 0, 1, 0x20];
/// pieces.extend([22, 3, 1, 0, 1, 0].repeat(MAX_LENGTH / 6));
/// assert_eq!(server_name(&pieces[..1000]), Ok(Parsed::More));
/// assert_eq!(server_name(&pieces), Err(HelloError::TooLong));
/// ```
pub const MAX_LENGTH: usize = 32 * 1024;

/// Reads the server name that a TLS client asks for at the beginning of `bytes`.
///
/// Any part of a hello will do: as long as what is there can still become one, the answer is
/// [`Parsed::More`], and no more than [`MAX_LENGTH`] bytes are ever asked for. The hello may be cut
/// into records in any way. Done, `length` counts the records that it is in; all of them are to be
/// sent on to the server that is chosen.
///
/// The name is in lower case and without a dot at its end. It is `None` if the client sends none,
/// or sends an IP address, which RFC 6066 does not allow and some clients do.
///
/// # Errors
///
/// What is wrong, as soon as it is certain. Hellos of SSL 2 are not TLS. A name that is no DNS name
/// and a hello with two names are malformed: two servers could read them in two ways.
///
/// ```
/// use fdflow_proxy::Parsed;
/// use fdflow_proxy::hello::{HelloError, server_name};
///
/// # fn main() -> Result<(), HelloError> {
/// let mut hello = vec![22, 3, 1, 0, 64, 1, 0, 0, 60, 3, 3]; // record, message, version
/// hello.extend([7; 32]); // random
/// hello.extend([0, 0, 2, 0x13, 1, 1, 0]); // no session, one cipher suite, no compression
/// hello.extend([0, 17, 0, 0, 0, 13, 0, 11, 0, 0, 8]); // extensions, server_name, its list
/// hello.extend(b"Mail.Org");
///
/// assert_eq!(server_name(&hello[..40])?, Parsed::More);
/// let whole = Parsed::Done { value: Some("mail.org".to_owned()), length: hello.len() };
/// assert_eq!(server_name(&hello)?, whole);
/// assert_eq!(server_name(b"GET / HTTP/1.1\r\n"), Err(HelloError::NotTls));
/// # Ok(())
/// # }
/// ```
pub fn server_name(bytes: &[u8]) -> Result<Parsed<Option<String>>, HelloError> {
    match records::gather(bytes)? {
        Parsed::More => Ok(Parsed::More),
        Parsed::Done { value: message, length } => {
            let value = message::server_name(&message).map_err(HelloError::Malformed)?;
            Ok(Parsed::Done { value, length })
        }
    }
}
