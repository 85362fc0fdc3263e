//! Tables and charts of one run, and where they are kept.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use super::chart::{self, figure_text};

/// What is shown, in the order in which it was measured.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
    charts: Vec<(&'static str, String)>,
}

impl Report {
    /// A line of its own.
    pub(crate) fn say(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }

    /// A table: rows of a title and a figure for each column.
    pub(crate) fn table(&mut self, title: &str, columns: &[String], rows: &[(String, Vec<Option<f64>>)]) {
        self.say(&format!("\n## {title}\n"));
        self.say(&format!("| | {} |", columns.join(" | ")));
        self.say(&format!("|---|{}", "---:|".repeat(columns.len())));
        for (row, figures) in rows {
            let figures: Vec<String> = figures.iter().map(|figure| figure.map_or("-".into(), figure_text)).collect();
            self.say(&format!("| {row} | {} |", figures.join(" | ")));
        }
    }

    /// The same as a table and as bars.
    pub(crate) fn bars(
        &mut self,
        file: &'static str,
        title: &str,
        unit: &str,
        columns: &[String],
        rows: &[(String, Vec<Option<f64>>)],
    ) {
        self.table(&format!("{title} ({unit})"), columns, rows);
        self.charts.push((file, chart::bars(title, unit, columns, rows)));
        let _ = writeln!(self.text, "\n![{title}]({file}.svg)");
    }

    /// The same as a table and as lines, one for each row, over the columns.
    pub(crate) fn lines(
        &mut self,
        file: &'static str,
        title: &str,
        unit: &str,
        columns: &[String],
        rows: &[(String, Vec<f64>)],
    ) {
        let table: Vec<_> =
            rows.iter().map(|(row, figures)| (row.clone(), figures.iter().copied().map(Some).collect())).collect();
        self.table(&format!("{title} ({unit})"), columns, &table);
        self.charts.push((file, chart::lines(title, unit, columns, rows)));
        let _ = writeln!(self.text, "\n![{title}]({file}.svg)");
    }

    /// Writes everything into a folder.
    pub(crate) fn keep(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, chart) in &self.charts {
            fs::write(folder.join(name).with_extension("svg"), chart)?;
        }
        fs::write(folder.join("results.md"), &self.text)
    }
}
