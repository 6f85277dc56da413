//! A run's record: the machine, the targets, who was absent and the tables of each part.

use std::io::{self, Write};

use super::Figures;
use crate::Common;
use crate::facts::Facts;

/// Prints what a run found and keeps it: its figures for programs, its text for people. `intro` says
/// what was measured against what, and each part has its name and what is to be known about it.
pub(crate) fn record(
    what: &str,
    intro: &str,
    parts: &[(&str, &str)],
    figures: &Figures,
    facts: &Facts,
    common: &Common,
) -> io::Result<()> {
    let text = text(intro, parts, figures, facts);
    write!(io::stdout(), "{text}")?;
    if common.no_record {
        return Ok(());
    }
    std::fs::create_dir_all(&common.record)?;
    for (suffix, content) in [("csv", figures.csv().as_str()), ("md", text.as_str())] {
        let path = common.record.join(format!("{}-{what}.{suffix}", facts.date));
        std::fs::write(&path, content)?;
        writeln!(io::stderr(), "wrote {}", path.display())?;
    }
    Ok(())
}

fn text(intro: &str, parts: &[(&str, &str)], figures: &Figures, facts: &Facts) -> String {
    let mut out = format!("{intro}\n{facts}\n## Targets\n\n{}", figures.targets());
    let absences = figures.absences();
    if !absences.is_empty() {
        out.push_str(&format!("\n## Absent\n\n{absences}"));
    }
    for (name, says) in parts {
        out.push_str(&format!("\n## {name}\n\n{says}\n{}", figures.tables(name)));
    }
    out
}
