"""Devices that send by themselves: the bytes of their lines become frames of values. Pure.

README.md, beside this file, says what the maker of a sensor has to send.
"""
