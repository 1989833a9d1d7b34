// Turns laminar::Error into laminar.errors.PgError; named in Cython's `except +raise_pg_error`.
#pragma once

#include <Python.h>

#include <new>

#include "pgerror.hpp"

namespace laminar {

// Called by Cython inside a catch block, with the GIL held.
inline void raise_pg_error() {
    try {
        throw;
    } catch (const Error& e) {
        PyObject* module = PyImport_ImportModule("laminar.errors");
        if (!module) return;
        PyObject* cls = PyObject_GetAttrString(module, "PgError");
        Py_DECREF(module);
        if (!cls) return;
        // Messages quote input that need not be UTF-8: never fail while reporting.
        const std::string what = e.what();
        PyObject* message = PyUnicode_DecodeUTF8(what.data(), Py_ssize_t(what.size()), "replace");
        PyObject* args = message ? Py_BuildValue("(sO)", e.sqlstate, message) : nullptr;
        PyObject* kwargs = PyDict_New();
        for (const auto& [name, text] : {std::pair<const char*, const std::string*>{"detail", &e.detail}, {"hint", &e.hint}}) {
            if (text->empty() || !kwargs) continue;
            PyObject* value = PyUnicode_DecodeUTF8(text->data(), Py_ssize_t(text->size()), "replace");
            if (value) PyDict_SetItemString(kwargs, name, value);
            Py_XDECREF(value);
        }
        if (!e.context.empty() && kwargs) {
            PyObject* where = PyUnicode_DecodeUTF8(e.context.data(), Py_ssize_t(e.context.size()), "replace");
            PyObject* fields = where ? Py_BuildValue("{sO}", "W", where) : nullptr;
            if (fields) PyDict_SetItemString(kwargs, "fields", fields);
            Py_XDECREF(fields);
            Py_XDECREF(where);
        }
        PyObject* error = args && kwargs ? PyObject_Call(cls, args, kwargs) : nullptr;
        if (error) PyErr_SetObject(cls, error);
        Py_XDECREF(error);
        Py_XDECREF(args);
        Py_XDECREF(message);
        Py_XDECREF(kwargs);
        Py_DECREF(cls);
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    }
}

}  // namespace laminar
