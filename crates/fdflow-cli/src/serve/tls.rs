//! TLS: the certificate, its key, and which protocols are offered.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, ServerConfig};

use super::flags::Flags;

/// What HTTP/2 is called in TLS.
pub(super) const H2: &[u8] = b"h2";

/// `None` where plain HTTP is served.
pub(super) fn config(flags: &Flags) -> Result<Option<Arc<ServerConfig>>, String> {
    let (certificate, key) = match (&flags.tls_cert, &flags.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => return Err("--tls-cert needs its key: give --tls-key too".to_owned()),
        (None, Some(_)) => {
            return Err("--tls-key needs its certificate: give --tls-cert too".to_owned());
        }
    };
    let chain = chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, "--tls-key", "a private key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => format!(
                "the key {} is not that of the certificate {}: give the two that belong together",
                key.display(),
                certificate.display()
            ),
            error => format!("{} with {}: {error}", certificate.display(), key.display()),
        })?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &PemError| unreadable(path, "--tls-cert", "a certificate", error);
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let chain: Result<Vec<_>, _> = certificates.collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(wrong(&PemError::NoItemsFound)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(&error)),
    }
}

fn unreadable(path: &Path, flag: &str, what: &str, error: &PemError) -> String {
    let path = path.display();
    match error {
        PemError::Io(error) => {
            format!("cannot read {path}: {error}; give {flag} a file that this user may read")
        }
        PemError::NoItemsFound => format!("{path} has not {what} in it; {flag} reads PEM"),
        error => format!("{path} is not {what}: {error}; {flag} reads PEM"),
    }
}
