//! The answer out of a folder: where it is, its index file, or what it holds.

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, VARY};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::{Answerer, Found};
use crate::name::Name;
use crate::root::{OpenError, Opened};
use crate::{Body, accept, listing, pages, upload};

/// Listings of more entries are written on another thread: they take milliseconds.
const FEW: usize = 200;

impl Answerer {
    /// The answer, or `None` where the folder is not for showing.
    pub(super) async fn folder(
        &self,
        name: &Name,
        opened: &Opened,
        parts: &Parts,
    ) -> Option<Response<Body>> {
        let prefix = prefix(parts);
        if !name.has_slash() {
            return Some(to_slash(name, &prefix, parts.uri.query()));
        }
        for index in &self.options.index {
            let child = name.child(index.as_bytes());
            match self.find(&child).await {
                Ok(Found::File(entry)) => return Some(self.file(&child, &entry, parts).await),
                Ok(Found::Folder(_))
                | Err(OpenError::NotFound | OpenError::Refused | OpenError::NotAFolder) => {}
                Err(error) => return Some(pages::refusal(&error)),
            }
        }
        if !self.options.listing {
            return None;
        }
        Some(self.listing(name, &prefix, opened, parts).await)
    }

    async fn listing(
        &self,
        name: &Name,
        prefix: &str,
        opened: &Opened,
        parts: &Parts,
    ) -> Response<Body> {
        let mut entries = match self.root.list(opened).await {
            Ok(entries) => entries,
            Err(error) => return pages::refusal(&OpenError::Failed(error)),
        };
        let uploads = self.options.uploads.is_some();
        if uploads {
            entries.retain(|entry| !upload::is_reserved(&entry.name));
        }
        let json = match format(parts.uri.query().unwrap_or_default()) {
            Some(format) => format == "json",
            None => accept::prefers_json(&parts.headers),
        };
        let media_type = if json { "application/json" } else { "text/html; charset=utf-8" };
        let many = entries.len() > FEW;
        let (dir, prefix) = (name.clone(), prefix.to_owned());
        let write = move || match json {
            true => listing::json(&dir, &prefix, &entries),
            false => listing::page(&dir, &prefix, &entries, uploads),
        };
        let bytes = if many {
            match tokio::task::spawn_blocking(write).await {
                Ok(bytes) => bytes,
                Err(lost) => return pages::refusal(&OpenError::Failed(lost.into())),
            }
        } else {
            write()
        };
        let mut response = pages::with_bytes(bytes, HeaderValue::from_static(media_type));
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_name(ACCEPT));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if !json {
            let policy = HeaderValue::from_static(listing::CONTENT_SECURITY_POLICY);
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// The value of `format` in a query.
fn format(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("format="))
}

/// The same with a slash at its end, with the query that came.
fn to_slash(name: &Name, prefix: &str, query: Option<&str>) -> Response<Body> {
    let mut place = format!("{prefix}{}", name.as_folder().to_uri());
    if let Some(query) = query {
        place.push('?');
        place.push_str(query);
    }
    let Ok(place) = HeaderValue::try_from(place) else { return pages::not_found() };
    let mut page =
        pages::status(StatusCode::MOVED_PERMANENTLY, "A folder's name ends with a slash.");
    page.headers_mut().insert(LOCATION, place);
    debug_assert!(page.headers().contains_key(CONTENT_TYPE), "a page has a type");
    page
}

/// Where an app has nested the service: what its router has cut off the path.
#[cfg(feature = "axum")]
fn prefix(parts: &Parts) -> String {
    let original = parts.extensions.get::<axum::extract::OriginalUri>();
    let cut = original.and_then(|uri| uri.path().strip_suffix(parts.uri.path()));
    cut.filter(|cut| !cut.starts_with("//")).unwrap_or_default().trim_end_matches('/').to_owned()
}

#[cfg(not(feature = "axum"))]
fn prefix(_parts: &Parts) -> String {
    String::new()
}
