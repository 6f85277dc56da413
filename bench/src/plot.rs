//! Plots: a panel per pair, a line per contender, sizes on a logarithmic axis.

use std::fmt::Write;

use crate::contenders::Contender;
use crate::job::Cell;
use crate::tables::{Figure, distinct, pairs};

/// What a plot shows.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) figure: Figure,
}

const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 280.0;
/// Left, right, top and bottom of a panel's axes within it.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// Above the panels: the title and the first row of the legend, and each further row.
const HEAD: f64 = 66.0;
const ROW: f64 = 20.0;
const COLUMNS: usize = 2;

/// Told apart also by those who see colours differently, on white and on black.
const COLOURS: [&str; 9] = [
    "#d55e00", "#0072b2", "#009e73", "#cc6699", "#cc8f00", "#3da5e0", "#8a63d2", "#a0522d",
    "#808080",
];

/// More lines than this have no bands, except for fdflow's: they would hide one another.
const BANDS: usize = 5;

/// What changes where the reader prefers a dark page.
const DARK: &str = "<style>@media (prefers-color-scheme: dark) { .paper { fill: #11151c } \
     text { fill: #e4e7ec } .grid { stroke: #343b46 } .axis { stroke: #98a1ad } \
     .ink { stroke: #e4e7ec } }</style>";

/// A document being drawn.
#[derive(Debug)]
pub(crate) struct Svg(String);

impl Svg {
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Self {
        let font = "font-family=\"Helvetica,Arial,sans-serif\"";
        let mut svg = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" {font} font-size=\"12\">\n\
             {DARK}\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\" class=\"paper\"/>\n"
        ));
        svg.text(20.0, 28.0, title, "font-size=\"17\" font-weight=\"bold\"");
        svg
    }

    pub(crate) fn add(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, text: &str, style: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"#222222\" {style}>{text}</text>"
        ));
    }

    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
        let ends = format!("x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"");
        self.add(&format!("<line {ends} {stroke}/>"));
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

pub(crate) const GRID: &str = "stroke=\"#dddddd\" class=\"grid\"";
pub(crate) const AXIS: &str = "stroke=\"#666666\" class=\"axis\"";
pub(crate) const INK: &str = "stroke=\"#222222\" class=\"ink\"";
pub(crate) const FAINT: &str = "font-size=\"11\" fill-opacity=\"0.75\"";

/// The colour of a contender: always the same within a record.
fn colour(contender: Contender, all: &[Contender]) -> &'static str {
    let at = all.iter().position(|one| *one == contender).unwrap_or(0);
    COLOURS[at % COLOURS.len()]
}

/// How a contender's line is drawn: fdflow's thick, a bare loop's dashed, a peer's thin.
fn stroke(contender: Contender, all: &[Contender]) -> String {
    let colour = colour(contender, all);
    let width = width(contender);
    let dashes = if contender.is_raw() { " stroke-dasharray=\"7 3\"" } else { "" };
    format!("stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}")
}

fn width(contender: Contender) -> f64 {
    if is_ours(contender) { 3.0 } else { 1.6 }
}

fn is_ours(contender: Contender) -> bool {
    [Contender::Fdflow, Contender::FDFLOW_TOKIO].contains(&contender)
}

/// Where the axis ends and the distance of its marks: at most six of them, at round figures.
pub(crate) fn marks(largest: f64) -> (f64, f64) {
    let largest = if largest > 0.0 { largest } else { 1.0 };
    let power = 10_f64.powf((largest / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| largest / step <= 5.0).unwrap_or(largest);
    ((largest / step).ceil() * step, step)
}

/// A figure beside a mark, without noughts at its end.
pub(crate) fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The plot of all cells.
pub(crate) fn lines(cells: &[Cell], chart: &Chart) -> String {
    let pairs = pairs(cells);
    let contenders = distinct(cells.iter().map(|cell| cell.contender));
    let columns = COLUMNS.min(pairs.len()).max(1);
    let rows = pairs.len().div_ceil(columns).max(1);
    let width = (WIDTH * columns as f64).max(2.0 * WIDTH);
    let places = places(&contenders, width);
    let head = places.last().map_or(HEAD, |(_, y)| y + HEAD - LEGEND);
    let mut svg = Svg::new(width, head + HEIGHT * rows as f64, chart.title);
    legend(&mut svg, &contenders, &places);
    for (i, pair) in pairs.into_iter().enumerate() {
        let origin = (WIDTH * (i % columns) as f64, head + HEIGHT * (i / columns) as f64);
        let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.pair == pair).collect();
        let panel = Panel::new(origin, width / columns as f64, &cells, chart.figure);
        panel.axes(&mut svg, pair, chart.x);
        // The last drawn lies on top: the first contender, which the plot is about.
        for contender in contenders.iter().rev() {
            panel.curve(&mut svg, &cells, *contender, &contenders);
        }
    }
    svg.finish()
}

/// The height of the legend's first row.
const LEGEND: f64 = 48.0;

/// Where each contender stands in the legend: in as many rows as it takes.
fn places(contenders: &[Contender], width: f64) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (20.0, LEGEND);
    let place = contenders.iter().map(|contender| {
        let length = 48.0 + 7.2 * contender.to_string().len() as f64;
        if x + length > width && x > 20.0 {
            (x, y) = (20.0, y + ROW);
        }
        x += length;
        (x - length, y)
    });
    place.collect()
}

fn legend(svg: &mut Svg, contenders: &[Contender], places: &[(f64, f64)]) {
    for (contender, (x, y)) in contenders.iter().zip(places) {
        svg.line((*x, *y), (x + 24.0, *y), &stroke(*contender, contenders));
        svg.text(x + 30.0, y + 4.0, &contender.to_string(), "");
    }
}

/// The area of one pair and how figures are placed in it.
struct Panel {
    x: (f64, f64),
    y: (f64, f64),
    sizes: Vec<u64>,
    end: f64,
    step: f64,
    figure: Figure,
}

impl Panel {
    fn new((x, y): (f64, f64), width: f64, cells: &[&Cell], figure: Figure) -> Self {
        let mut sizes = distinct(cells.iter().map(|cell| cell.size));
        sizes.sort_unstable();
        let tops = cells.iter().filter_map(|cell| Some(figure.of(cell)?.median));
        let (end, step) = marks(tops.fold(0.0, f64::max));
        Self {
            x: (x + LEFT, x + width - RIGHT),
            y: (y + HEIGHT - BOTTOM, y + TOP),
            sizes,
            end,
            step,
            figure,
        }
    }

    fn at(&self, size: u64) -> f64 {
        let (first, last) = (self.sizes.first(), self.sizes.last());
        let (Some(first), Some(last)) = (first, last) else { return self.x.0 };
        let (low, high) = ((*first as f64).log2(), (*last as f64).log2());
        let margin = 10.0;
        let width = self.x.1 - self.x.0 - 2.0 * margin;
        let part = if high > low { ((size as f64).log2() - low) / (high - low) } else { 0.5 };
        self.x.0 + margin + part * width
    }

    fn height(&self, value: f64) -> f64 {
        self.y.0 + (value / self.end).min(1.0) * (self.y.1 - self.y.0)
    }

    fn axes(&self, svg: &mut Svg, pair: &str, x: &str) {
        let mut mark = 0.0;
        while mark <= self.end * 1.001 {
            let y = self.height(mark);
            svg.line((self.x.0, y), (self.x.1, y), if mark > 0.0 { GRID } else { AXIS });
            let style = format!("{FAINT} text-anchor=\"end\"");
            svg.text(self.x.0 - 6.0, y + 4.0, &label(mark), &style);
            mark += self.step;
        }
        let middle = "text-anchor=\"middle\"";
        for (i, size) in self.sizes.iter().enumerate() {
            let at = self.at(*size);
            svg.line((at, self.y.0), (at, self.y.0 + 4.0), AXIS);
            if i % 2 == 0 || self.sizes.len() < 6 {
                svg.text(at, self.y.0 + 17.0, &tick(*size), &format!("{FAINT} {middle}"));
            }
        }
        let centre = f64::midpoint(self.x.0, self.x.1);
        svg.text(centre, self.y.0 + 33.0, x, &format!("{FAINT} {middle}"));
        let title = pair.replace('-', " → ");
        svg.text(self.x.0, self.y.1 - 10.0, &title, "font-size=\"14\" font-weight=\"bold\"");
    }

    /// The medians as a line, from the lowest to the highest as a band.
    fn curve(&self, svg: &mut Svg, cells: &[&Cell], contender: Contender, all: &[Contender]) {
        let points = cells.iter().filter(|cell| cell.contender == contender);
        let points = points.filter_map(|cell| Some((self.at(cell.size), self.figure.of(cell)?)));
        let points: Vec<_> = points.collect();
        let (mut line, mut band) = (String::new(), String::new());
        // Writing to a String cannot fail.
        for (x, spread) in &points {
            let _line = write!(line, "{x:.1},{:.1} ", self.height(spread.median)).is_ok();
            let _band = write!(band, "{x:.1},{:.1} ", self.height(spread.max)).is_ok();
        }
        for (x, spread) in points.iter().rev() {
            let _band = write!(band, "{x:.1},{:.1} ", self.height(spread.min)).is_ok();
        }
        let colour = colour(contender, all);
        if all.len() <= BANDS || is_ours(contender) {
            svg.add(&format!(
                "<polygon points=\"{band}\" fill=\"{colour}\" fill-opacity=\"0.13\"/>"
            ));
        }
        let stroke = stroke(contender, all);
        svg.add(&format!("<polyline points=\"{line}\" fill=\"none\" {stroke}/>"));
        let radius = width(contender);
        for (x, spread) in &points {
            let y = self.height(spread.median);
            svg.add(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
            ));
        }
    }
}

fn tick(size: u64) -> String {
    crate::sizes::human(size).replace(" KiB", "K").replace(" MiB", "M").replace(" GiB", "G")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::cell;

    #[test]
    fn an_axis_ends_at_a_round_figure_above_the_largest() {
        assert_eq!(marks(0.93).0, 1.0);
        assert_eq!(marks(4100.0), (5000.0, 1000.0));
        assert!((marks(0.26).1 - 0.1).abs() < 1e-9);
        assert!(marks(0.0).0 > 0.0);
        assert_eq!(["0.3", "0", "2000"], [0.3, 0.0, 2000.0].map(label).each_ref().map(|l| &l[..]));
    }

    #[test]
    fn a_plot_has_a_panel_for_each_pair_and_a_line_for_each_contender() {
        let grid = |pair| {
            [Contender::Fdflow, Contender::SPLICE].into_iter().flat_map(move |contender| {
                (10..=20).map(move |shift| cell(pair, 1 << shift, contender, &[200, 300, 400]))
            })
        };
        let cells: Vec<Cell> = grid("tcp-tcp").chain(grid("tcp-unix")).collect();
        let svg = lines(&cells, &Chart { title: "a < b", x: "bytes", figure: Figure::Cpu });
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("<circle").count(), 44);
        assert!(svg.contains("tcp → unix") && svg.contains("a &lt; b"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn a_legend_that_is_too_long_for_a_row_goes_on_below_and_the_panels_make_room() {
        let many = [
            Contender::Fdflow,
            Contender::FDFLOW_TOKIO,
            Contender::SPLICE,
            Contender::ReadWrite(32 << 10),
            Contender::StdCopy,
            Contender::Go,
        ];
        let places = places(&many, 400.0);
        assert_eq!((places[0], places[5].0 < 400.0), ((20.0, LEGEND), true));
        assert!(places[5].1 > LEGEND);
        let cells: Vec<Cell> =
            many.into_iter().map(|one| cell("tcp-tcp", 1024, one, &[1, 2])).collect();
        let svg = lines(&cells, &Chart { title: "", x: "", figure: Figure::Cpu });
        let bands = svg.matches("<polygon").count();
        assert_eq!((svg.matches("<polyline").count(), bands), (6, 2));
        // Of bare loops: two lines and their marks in the legend.
        assert_eq!(svg.matches("stroke-dasharray").count(), 4);
    }

    #[test]
    fn a_single_point_and_no_point_can_be_drawn() {
        let chart = Chart { title: "", x: "", figure: Figure::Speed };
        let one = [cell("tcp-tcp", 1024, Contender::Fdflow, &[1])];
        assert!(!lines(&one, &chart).contains("NaN"));
        assert!(lines(&[], &chart).ends_with("</svg>\n"));
    }
}
