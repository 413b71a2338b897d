//! From errors to Python's exceptions: the only place where they are mapped.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An exception of a class of `cellmill.errors`.
pub fn raised(class: &str, text: String) -> PyErr {
    Python::attach(|py| {
        let class = py
            .import("cellmill.errors")
            .and_then(|errors| errors.getattr(class))
            .and_then(|class| Ok(class.cast_into::<PyType>()?));
        match class {
            Ok(class) => PyErr::from_type(class, text),
            Err(error) => error,
        }
    })
}

/// An error of any layer, on its way to Python.
#[derive(Debug)]
pub struct Failure(pub cellmill::Error);

impl From<cellmill::Error> for Failure {
    fn from(error: cellmill::Error) -> Self {
        Self(error)
    }
}

impl From<cellmill_engine::Error> for Failure {
    fn from(error: cellmill_engine::Error) -> Self {
        Self(error.into())
    }
}

impl From<cellmill_io::Error> for Failure {
    fn from(error: cellmill_io::Error) -> Self {
        Self(error.into())
    }
}

impl From<Failure> for PyErr {
    fn from(Failure(error): Failure) -> Self {
        let text = error.to_string();
        match error {
            cellmill::Error::Io(error) => of_file(&error, text),
            cellmill::Error::Engine(error) => of_engine(&error, text),
            cellmill::Error::Parameter(_) => raised("ParameterError", text),
            cellmill::Error::Data(_) => raised("DataError", text),
        }
    }
}

fn of_engine(error: &cellmill_engine::Error, text: String) -> PyErr {
    use cellmill_engine::Error as E;
    match error {
        E::Cancelled => PyKeyboardInterrupt::new_err(text),
        E::Budget { .. } => raised(
            "BudgetError",
            format!("{text}; the budget is cellmill.settings.memory"),
        ),
        E::Data(_) => raised("DataError", text),
        E::Parameter(_) => raised("ParameterError", text),
        E::Io { .. } => raised("FileError", text),
        E::Outside(inner) => match inner.downcast_ref::<cellmill_io::Error>() {
            Some(error) => of_file(error, text),
            None => raised("Error", text),
        },
        E::Wire { .. } | E::Bug(_) => raised("Error", text),
    }
}

fn of_file(error: &cellmill_io::Error, text: String) -> PyErr {
    use cellmill_io::Error as E;
    let class = match error {
        E::Engine(error) => return of_engine(error, text),
        E::NotFound { .. } => "NotFoundError",
        E::MissingElement { .. } => "MissingElementError",
        E::Unsupported { .. } => "UnsupportedError",
        E::Exists { .. } => "ExistsError",
        E::NotHdf5 { .. } | E::Locked { .. } | E::Truncated { .. } | E::Io { .. } => "FileError",
        E::Malformed { .. } | E::Changed { .. } => "DataError",
    };
    raised(class, text)
}

/// A mistake in this program.
pub fn bug(what: &str) -> PyErr {
    raised(
        "Error",
        format!("a bug in cellmill, please report it: {what}"),
    )
}

/// What a panic says: a bug, as an exception.
pub fn panicked(payload: &(dyn std::any::Any + Send)) -> PyErr {
    let what = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    bug(what)
}
