//! Bars and lines as SVG.

use std::fmt::Write;

/// The colour of a server, the same in every chart.
fn colour(name: &str) -> &'static str {
    match name {
        "rollcall" => "#1b7f4d",
        "NSD" => "#7a8fa6",
        "Knot" => "#b0a070",
        "CoreDNS" => "#c8553d",
        _ => "#e3a08f",
    }
}

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
        for (name, figure) in names.iter().zip(figures) {
            let (Some(figure), colour) = (figure, colour(name)) else { continue };
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

/// Lines over a row of places; logarithmic where figures differ much.
pub(crate) fn lines(title: &str, unit: &str, places: &[String], series: &[(String, Vec<f64>)]) -> String {
    const LEFT: f64 = 70.0;
    const TOP: f64 = 56.0;
    const WIDTH: f64 = 460.0;
    const HEIGHT: f64 = 240.0;
    let figures = || series.iter().flat_map(|(_, figures)| figures).copied().filter(|&figure| figure > 0.0);
    let (most, least) = (figures().fold(0.0, f64::max), figures().fold(f64::INFINITY, f64::min));
    let ticks: Vec<f64> = if most > 30.0 * least {
        let (from, to) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        (from..=to).map(|power| 10_f64.powi(power)).collect()
    } else {
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| most * part).to_vec()
    };
    let (low, high) = (ticks.first().copied().unwrap_or(0.0), ticks.last().copied().unwrap_or(1.0));
    let x = |at: usize| LEFT + WIDTH * at as f64 / places.len().saturating_sub(1).max(1) as f64;
    let y = |figure: f64| {
        let part = if low > 0.0 { (figure / low).log10() / (high / low).log10() } else { figure / high };
        TOP + HEIGHT * (1.0 - part)
    };
    let unit = if low > 0.0 { format!("{unit}, logarithmic") } else { unit.to_owned() };
    let mut body = String::new();
    for tick in ticks {
        let at = y(tick);
        let _ = writeln!(body, "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#dddddd\"/>", LEFT + WIDTH);
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.1}\" {FONT} text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            figure_text(tick)
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
    for (index, (name, figures)) in series.iter().enumerate() {
        let colour = colour(name);
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
    svg(title, &unit, LEFT + WIDTH + 190.0, TOP + HEIGHT + 34.0, &body)
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
