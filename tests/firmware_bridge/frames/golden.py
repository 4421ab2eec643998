"""Telegrams to compare with, written by hand from the standards' layout; the meters in them do not exist.

The CRCs were computed by the encoders beside this file, and those of SML confirmed by smllib; they are
written out here, so that a change of an encoder cannot change what is expected. To add one, write its
lines, run the tests, and take the CRC from the encoder.
"""

_DSMR_5 = """\
/SWE5\\253769484_A

1-3:0.2.8(50)
0-0:1.0.0(250714183045S)
0-0:96.1.1(5357453030303030303030303030303031)
1-0:1.8.1(004321.987*kWh)
1-0:1.8.2(003210.123*kWh)
1-0:2.8.1(000012.345*kWh)
1-0:2.8.2(000345.678*kWh)
0-0:96.14.0(0002)
1-0:1.7.0(00.000*kW)
1-0:2.7.0(01.234*kW)
0-0:96.7.21(00004)
0-0:96.7.9(00002)
1-0:99.97.0(2)(0-0:96.7.19)(250104152415W)(0000000240*s)(250104151004W)(0000000301*s)
1-0:32.32.0(00001)
1-0:52.32.0(00000)
1-0:72.32.0(00000)
1-0:32.36.0(00000)
0-0:96.13.0()
1-0:32.7.0(230.1*V)
1-0:52.7.0(229.8*V)
1-0:72.7.0(231.4*V)
1-0:31.7.0(001*A)
1-0:51.7.0(002*A)
1-0:71.7.0(003*A)
1-0:21.7.0(00.000*kW)
1-0:41.7.0(00.000*kW)
1-0:61.7.0(00.000*kW)
1-0:22.7.0(00.234*kW)
1-0:42.7.0(00.400*kW)
1-0:62.7.0(00.600*kW)
0-1:24.1.0(007)
0-1:96.1.0(5357453937)
0-1:24.2.1(250714183000S)(00047.110*m3)
0-2:24.1.0(003)
0-2:96.1.0(5357453938)
0-2:24.2.1(250714183000S)(01234.567*m3)
!4C66
"""

_DSMR_2 = """\
/SWE2MT382-1000

0-0:96.1.1(53574532)
1-0:1.8.1(00123.456*kWh)
1-0:1.8.2(00234.567*kWh)
1-0:2.8.1(00000.000*kWh)
1-0:2.8.2(00001.000*kWh)
0-0:96.14.0(0001)
1-0:1.7.0(0000.98*kW)
1-0:2.7.0(0000.00*kW)
0-0:17.0.0(0999.00*kW)
0-0:96.3.10(1)
0-0:96.13.1()
0-0:96.13.0()
0-1:24.1.0(3)
0-1:96.1.0(53574539)
0-1:24.3.0(250714180000)(08)(60)(1)(0-1:24.2.1)(m3)
(00437.631)
0-1:24.4.0(1)
!
"""

_SWEDISH = """\
/SWE5\\253833635_A

0-0:1.0.0(250714173045W)
1-0:1.8.0(00006678.394*kWh)
1-0:2.8.0(00000001.250*kWh)
1-0:1.7.0(0001.727*kW)
1-0:2.7.0(0000.000*kW)
!40D2
"""


def _on_the_line(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _bytes(text: str) -> bytes:
    return b"".join(bytes.fromhex(line[_LABEL:]) for line in text.splitlines())


DSMR_5, DSMR_2, SWEDISH = _on_the_line(_DSMR_5), _on_the_line(_DSMR_2), _on_the_line(_SWEDISH)

# what it is, and its bytes
_LABEL = 18
_SML = """\
start             1b1b1b1b01010101
message 1         76 0500000001 6200 6200 72 630101
  open            76 01 01 0500004f2b 0b0a015357450000000001 01 01
  end             637587 00
message 2         76 0500000002 6200 6200 72 630701
  server          77 01 0b0a015357450000000001 070100620affff
  seconds         72 6201 6500003039
  entries         75
  maker           77 07 8181c78203ff 01 01 01 01 04535745 01
  import          77 0701000108 00ff 65001c0104 01 621e 52ff 6900000000075bcd15 01
  export          77 0701000208 00ff 01 01 621e 52ff 56 0000003039 01
  power           77 0701001007 00ff 01 01 621b 52ff 55 fffffb2e 01
  voltage         77 0701002007 00ff 01 01 6223 52ff 630907 01
  end             01 01 635441 00
message 3         76 0500000003 6200 6200 72 630201 71 01 63a8e6 00
fill and end      1b1b1b1b 1a 00 3970
"""

SML = _bytes(_SML)

# The two examples of the README: a body of JSON and one of CBOR.
SENSOR_JSON = bytes.fromhex("2a7b226964223a372c22736571223a312c2274656d70657261747572655f63223a32312e357df52971db00")
SENSOR_CBOR = bytes.fromhex("1ca36269640763736571026d74656d70657261747572655f63fa41ac0105b260fba800")
