//! Plots without an axis of sizes: a panel per pair, a bar per contender.

use crate::contenders::Contender;
use crate::job::Cell;
use crate::plot::{AXIS, FAINT, GRID, INK, Svg, label, marks};
use crate::tables::{Figure, pairs};

const WIDTH: f64 = 470.0;
const NAMES: f64 = 100.0;
const BAR: f64 = 22.0;
const HEAD: f64 = 44.0;
/// Title above a panel's bars, and marks below them.
const ABOVE: f64 = 28.0;
const BELOW: f64 = 34.0;

/// The plot of all cells, which have one size in each pair.
pub(crate) fn bars(cells: &[Cell], figure: Figure) -> String {
    let panels: Vec<(&str, Vec<&Cell>)> = pairs(cells)
        .into_iter()
        .map(|pair| (pair, cells.iter().filter(|cell| cell.pair == pair).collect()))
        .collect();
    let most = panels.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let height = ABOVE + BELOW + BAR * most as f64;
    let rows = panels.len().div_ceil(2) as f64;
    let title = match figure {
        Figure::Speed => "MB per second (more is better)",
        _ => "Processor seconds of the mover per GB (less is better)",
    };
    let mut svg = Svg::new(2.0 * WIDTH, HEAD + height * rows, title);
    for (i, (pair, cells)) in panels.iter().enumerate() {
        let (x, y) = (WIDTH * (i % 2) as f64, HEAD + height * (i / 2) as f64);
        panel(&mut svg, (x, y), pair, cells, figure);
    }
    svg.finish()
}

fn panel(svg: &mut Svg, (x, y): (f64, f64), pair: &str, cells: &[&Cell], figure: Figure) {
    let left = x + NAMES + 14.0;
    let width = WIDTH - NAMES - 70.0;
    let (top, bottom) = (y + ABOVE, y + ABOVE + BAR * cells.len() as f64);
    let tops = cells.iter().filter_map(|cell| Some(figure.of(cell)?.max));
    let (end, step) = marks(tops.fold(0.0, f64::max));
    let at = |value: f64| left + width * value / end;
    svg.text(
        x + 20.0,
        y + 16.0,
        &pair.replace('-', " → "),
        "font-size=\"14\" font-weight=\"bold\"",
    );
    let mut mark = 0.0;
    while mark <= end * 1.001 {
        svg.line((at(mark), top), (at(mark), bottom), if mark > 0.0 { GRID } else { AXIS });
        let style = format!("{FAINT} text-anchor=\"middle\"");
        svg.text(at(mark), bottom + 14.0, &label(mark), &style);
        mark += step;
    }
    for (i, cell) in cells.iter().enumerate() {
        let Some(spread) = figure.of(cell) else { continue };
        let above = top + BAR * i as f64;
        let middle = above + BAR / 2.0;
        let (bar, thickness) = (at(spread.median) - left, BAR - 6.0);
        svg.add(&format!(
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{thickness}\" \
             fill=\"{}\"/>",
            above + 3.0,
            colour(cell.contender)
        ));
        svg.line((at(spread.min), middle), (at(spread.max), middle), INK);
        let name = cell.contender.to_string();
        svg.text(left - 6.0, middle + 4.0, &name, "text-anchor=\"end\"");
        let value = match figure {
            Figure::Speed => format!("{:.0}", spread.median),
            _ => format!("{:.3}", spread.median),
        };
        svg.text(at(spread.max) + 5.0, middle + 4.0, &value, FAINT);
    }
}

/// What the plot is about, the limits, and the peers.
fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Fdflow => "#d55e00",
        raw if raw.is_raw() => "#7ba3c9",
        _ => "#b4b4b4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::cell;

    #[test]
    fn every_contender_of_a_pair_has_a_bar() {
        let cells = [
            cell("file-tcp", 1 << 30, Contender::Fdflow, &[100, 120, 110]),
            cell("file-tcp", 1 << 30, Contender::Sendfile, &[100]),
            cell("file-file", 1 << 30, Contender::Cp, &[400]),
        ];
        for figure in [Figure::Cpu, Figure::Speed] {
            let svg = bars(&cells, figure);
            // One more is the background.
            assert_eq!(svg.matches("<rect").count(), 4);
            assert!(svg.contains("file → tcp") && !svg.contains("NaN"));
        }
    }
}
