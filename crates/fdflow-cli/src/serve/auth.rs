//! Who is let in: HTTP's basic authentication.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

use super::password;
use super::record::User;
use super::values::Credential;

/// Hashing is heavy on purpose: so many passwords are tried at once, the rest wait.
const AT_ONCE: usize = 2;

/// The users, and which passwords were found right.
#[derive(Debug)]
pub(super) struct Auth {
    users: HashMap<String, Known>,
    /// For the tags of passwords that were found right; new in every run.
    key: hmac::Key,
    turns: Semaphore,
    /// Tried for unknown users, so that they take as long as known ones.
    stranger: String,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    hash: String,
    /// The tag of the password that was last found right.
    right: Mutex<Option<hmac::Tag>>,
}

impl Auth {
    /// `None` where everybody is let in.
    pub(super) fn new(credentials: &[Credential]) -> Result<Option<Self>, String> {
        let Some(first) = credentials.first() else { return Ok(None) };
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the kernel gives no random numbers".to_owned())?;
        let users = credentials.iter().map(|credential| {
            let known = Known {
                name: credential.user.as_str().into(),
                hash: credential.hash.clone(),
                right: Mutex::new(None),
            };
            (credential.user.clone(), known)
        });
        let (users, stranger) = (users.collect(), first.hash.clone());
        Ok(Some(Self { users, key, turns: Semaphore::new(AT_ONCE), stranger }))
    }

    /// The user that a request is from; `None`: nobody who is let in.
    pub(super) async fn user(&self, headers: &HeaderMap) -> Option<User> {
        let (name, password) = basic(headers)?;
        let known = self.users.get(&name);
        if let Some(known) = known
            && let Some(tag) = *known.right.lock().unwrap_or_else(PoisonError::into_inner)
            && hmac::verify(&self.key, &password, tag.as_ref()).is_ok()
        {
            return Some(User(Arc::clone(&known.name)));
        }
        let tag = hmac::sign(&self.key, &password);
        let hash = known.map_or(&self.stranger, |known| &known.hash).clone();
        let _turn = self.turns.acquire().await.ok()?;
        let right = tokio::task::spawn_blocking(move || password::verify(&password, &hash));
        if !right.await.unwrap_or(false) {
            return None;
        }
        let known = known?;
        *known.right.lock().unwrap_or_else(PoisonError::into_inner) = Some(tag);
        Some(User(Arc::clone(&known.name)))
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut pair = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    let password = pair.split_off(colon + 1);
    pair.truncate(colon);
    Some((String::from_utf8(pair).ok()?, password))
}
