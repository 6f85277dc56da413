//! Password hashes in the forms that `htpasswd` and others print.

use argon2::{Argon2, PasswordHash, PasswordVerifier};

/// Says what to do where `hash` is in no form that is read here.
pub(super) fn check_form(hash: &str) -> Result<(), String> {
    let good = match form(hash) {
        Some(Form::Bcrypt) => hash.len() == 60 && hash.is_ascii(),
        Some(Form::Sha256 | Form::Sha512) => hash.is_ascii() && hash.matches('$').count() >= 3,
        Some(Form::Argon2) => PasswordHash::new(hash).is_ok(),
        None => false,
    };
    if good {
        return Ok(());
    }
    let weak = ["$apr1$", "{SHA}", "$1$"].iter().any(|prefix| hash.starts_with(prefix));
    Err(if weak {
        "MD5 and SHA-1 are too quick to guess: make a hash with `htpasswd -nB USER`".to_owned()
    } else {
        "this is no hash of a password (bcrypt, SHA-crypt or Argon2): make one with \
         `htpasswd -nB USER`"
            .to_owned()
    })
}

/// Whether `password` is what `hash` was made of. Takes long, on purpose.
pub(super) fn verify(password: &[u8], hash: &str) -> bool {
    let text = || std::str::from_utf8(password);
    match form(hash) {
        Some(Form::Bcrypt) => bcrypt::verify(password, hash).unwrap_or(false),
        Some(Form::Sha256) => text().is_ok_and(|text| sha_crypt::sha256_check(text, hash).is_ok()),
        Some(Form::Sha512) => text().is_ok_and(|text| sha_crypt::sha512_check(text, hash).is_ok()),
        Some(Form::Argon2) => PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
        None => false,
    }
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Bcrypt,
    Sha256,
    Sha512,
    Argon2,
}

fn form(hash: &str) -> Option<Form> {
    Some(match hash.get(..hash.get(1..)?.find('$')? + 2)? {
        "$2a$" | "$2b$" | "$2x$" | "$2y$" => Form::Bcrypt,
        "$5$" => Form::Sha256,
        "$6$" => Form::Sha512,
        "$argon2d$" | "$argon2i$" | "$argon2id$" => Form::Argon2,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The SHA-crypt pairs are those of its specification.
    const SHA256: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    const SHA512: &str = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";

    #[test]
    fn each_form_takes_its_password_and_no_other() {
        let bcrypt = bcrypt::hash("Hello world!", 4).unwrap();
        let apache = bcrypt.replacen("$2b$", "$2y$", 1);
        let argon2 = {
            use argon2::PasswordHasher;
            let salt = argon2::password_hash::SaltString::encode_b64(b"eight by").unwrap();
            let params = argon2::Params::new(32, 1, 1, None).unwrap();
            let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
            hasher.hash_password(b"Hello world!", &salt).unwrap().to_string()
        };
        for hash in [&bcrypt, &apache, SHA256, SHA512, &argon2] {
            assert_eq!(check_form(hash), Ok(()), "{hash}");
            assert!(verify(b"Hello world!", hash), "{hash}");
            assert!(!verify(b"Hello world", hash) && !verify(b"", hash), "{hash}");
            assert!(!verify(b"\xff\xfe", hash), "{hash}");
        }
    }

    #[test]
    fn weak_and_broken_hashes_are_refused_with_what_to_do() {
        for hash in ["$apr1$abc$def", "{SHA}abc=", "secret", "", "$2y$05$short", "$argon2id$x"] {
            assert!(check_form(hash).unwrap_err().contains("htpasswd -nB"), "{hash}");
            assert!(!verify(b"secret", hash), "{hash}");
        }
    }
}
