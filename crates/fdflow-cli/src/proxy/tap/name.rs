//! What the files of a recording are called.

use std::path::PathBuf;
use std::time::SystemTime;

use super::Place;

/// A file name has 255 bytes; the rest of it takes less than a hundred.
const LONGEST: usize = 100;

/// The name of a recording's first file.
#[derive(Debug, Clone)]
pub(super) struct Name(String);

impl Name {
    /// Of what `who` sends in a flow: one that no other recording on this machine has.
    pub(super) fn new(service: &str, began: SystemTime, id: u64, who: &str) -> Self {
        let time = humantime::format_rfc3339_millis(began).to_string().replace(':', "");
        let process = std::process::id();
        Self(format!("{}-{time}-{process}-{id}-{who}.bin", plain(service)))
    }

    /// The name of the file after so many others.
    pub(super) fn file(&self, number: u32) -> String {
        match number {
            0 => self.0.clone(),
            _ => format!("{}.{number}", self.0),
        }
    }

    /// Where that is.
    pub(super) fn path(&self, place: &Place, number: u32) -> PathBuf {
        place.dir.join(self.file(number))
    }
}

/// Without what means something in a path, or to a shell.
fn plain(service: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plain = |c: char| if allowed(c) { c } else { '_' };
    let name: String = service.chars().map(plain).take(LONGEST).collect();
    match name.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_tells_service_time_flow_and_direction() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_123);
        let name = Name::new("web", began, 7, "client");
        let process = std::process::id();
        let first = format!("web-1970-01-12T134640.123Z-{process}-7-client.bin");
        assert_eq!((name.file(0), name.file(2)), (first.clone(), format!("{first}.2")));
    }

    #[test]
    fn a_service_cannot_name_a_file_elsewhere() {
        assert_eq!(plain("../../etc/x"), "_._.._etc_x");
        assert_eq!(plain("127.0.0.1:80"), "127.0.0.1_80");
        assert_eq!(plain(".hidden"), "_hidden");
        assert_eq!(plain("-rf *\n"), "_rf___");
        assert_eq!(plain("ü"), "_");
        assert_eq!(plain(&"x".repeat(1000)).len(), LONGEST);
    }
}
