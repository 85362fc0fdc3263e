//! Bars and lines as SVG.

use std::fmt::Write;

/// The colours of servers, in the order in which they are named first.
const COLOURS: [&str; 6] = ["#1b7f4d", "#7a8fa6", "#b0a070", "#c8553d", "#e3a08f", "#555555"];
const FONT: &str = "font-family=\"sans-serif\" font-size=\"13\" fill=\"#222222\"";

/// Groups of bars: each group has a title and a figure for some of the names.
pub(crate) fn bars(title: &str, unit: &str, names: &[String], groups: &[(String, Vec<Option<f64>>)]) -> String {
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 480.0;
    let most = groups.iter().flat_map(|(_, figures)| figures).flatten().fold(0.0, |most: f64, &one| most.max(one));
    let mut body = String::new();
    let mut y = 44.0;
    for (group, figures) in groups {
        let _ = writeln!(body, "<text x=\"12\" y=\"{:.0}\" {FONT} font-weight=\"bold\">{group}</text>", y + 12.0);
        for ((name, figure), colour) in names.iter().zip(figures).zip(COLOURS.iter().cycle()) {
            let Some(figure) = figure else { continue };
            y += 18.0;
            let width = (figure / most * WIDTH).max(1.0);
            let _ = writeln!(
                body,
                "<text x=\"{:.0}\" y=\"{:.0}\" {FONT} text-anchor=\"end\">{name}</text>",
                LEFT - 8.0,
                y + 11.0
            );
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"14\" fill=\"{colour}\"/>"
            );
            let _ = writeln!(
                body,
                "<text x=\"{:.1}\" y=\"{:.0}\" {FONT}>{}</text>",
                LEFT + width + 6.0,
                y + 11.0,
                figure_text(*figure)
            );
        }
        y += 26.0;
    }
    svg(title, unit, LEFT + WIDTH + 100.0, y + 4.0, &body)
}

/// Lines over a logarithmic row of places.
pub(crate) fn lines(title: &str, unit: &str, places: &[String], series: &[(String, Vec<f64>)]) -> String {
    const LEFT: f64 = 70.0;
    const TOP: f64 = 56.0;
    const WIDTH: f64 = 460.0;
    const HEIGHT: f64 = 240.0;
    let most = series.iter().flat_map(|(_, figures)| figures).fold(0.0, |most: f64, &one| most.max(one));
    let x = |at: usize| LEFT + WIDTH * at as f64 / places.len().saturating_sub(1).max(1) as f64;
    let y = |figure: f64| TOP + HEIGHT * (1.0 - figure / most);
    let mut body = String::new();
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = y(most * part);
        let _ = writeln!(body, "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#dddddd\"/>", LEFT + WIDTH);
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.1}\" {FONT} text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            figure_text(most * part)
        );
    }
    for (at, place) in places.iter().enumerate() {
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" {FONT} text-anchor=\"middle\">{place}</text>",
            x(at),
            TOP + HEIGHT + 20.0
        );
    }
    for (index, ((name, figures), colour)) in series.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<String> =
            figures.iter().enumerate().map(|(at, &one)| format!("{:.1},{:.1}", x(at), y(one))).collect();
        let _ = writeln!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            points.join(" ")
        );
        let legend = TOP + 16.0 + 20.0 * index as f64;
        let _ = writeln!(
            body,
            "<rect x=\"{:.0}\" y=\"{:.0}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>",
            LEFT + WIDTH + 16.0,
            legend - 6.0
        );
        let _ = writeln!(body, "<text x=\"{:.0}\" y=\"{legend:.0}\" {FONT}>{name}</text>", LEFT + WIDTH + 36.0);
    }
    svg(title, unit, LEFT + WIDTH + 190.0, TOP + HEIGHT + 34.0, &body)
}

fn svg(title: &str, unit: &str, width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"12\" y=\"24\" font-family=\"sans-serif\" font-size=\"15\" fill=\"#222222\">{title} \
         <tspan fill=\"#777777\">({unit})</tspan></text>\n{body}</svg>\n"
    )
}

/// A figure with three digits that mean something.
pub(crate) fn figure_text(figure: f64) -> String {
    match figure {
        _ if !figure.is_finite() => "-".into(),
        100.0.. => format!("{figure:.0}"),
        10.0..100.0 => format!("{figure:.1}"),
        0.0 => "0".into(),
        _ => format!("{figure:.2}"),
    }
}
