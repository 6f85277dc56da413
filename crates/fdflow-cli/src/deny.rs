//! Which routes are forbidden, by flag and by environment.

use fdflow::Routes;

/// Says what is wrong with `FDFLOW_DENY`, if anything is. The library reads it too, but leaves
/// out what it does not know.
pub(crate) fn check_environment() -> Result<(), String> {
    let Some(names) = std::env::var_os("FDFLOW_DENY") else { return Ok(()) };
    let names = names.to_string_lossy();
    match names.parse::<Routes>() {
        Ok(_) => Ok(()),
        Err(unknown) => Err(format!("FDFLOW_DENY: {unknown}; correct it or unset it")),
    }
}

/// The value of a `--deny` flag.
pub(crate) fn parse(names: &str) -> Result<Routes, String> {
    names.parse::<Routes>().map_err(|unknown| unknown.to_string())
}
