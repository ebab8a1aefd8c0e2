import { domainId } from '@netchannel2/xen';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatMac, parseMac, randomMac } from './mac-address';
import { parseDecimal, requireDecimal, U32_MAX } from './peer-values';
import { ConfigurationError } from './toolstack/configuration-error';
import { settleConfiguration } from './toolstack/device-configuration';
import { formatRateNode, parseRate, parseRateNode } from './toolstack/rate';
import { parseVifList, parseVifSpecification } from './toolstack/vif-specification';

describe('decimal nodes', () => {
  it('reads what it wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: U32_MAX }), (value) => parseDecimal(String(value)) === value),
    );
  });

  it('accepts only the plain form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const value = parseDecimal(text);
        return value === undefined || String(value) === text;
      }),
    );
  });

  it.each([
    '',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '01',
    '1.0',
    '1e3',
    '0x10',
    '4294967296',
    '99999999999999999999',
    '1\n',
  ])('refuses "%s"', (text) => {
    expect(parseDecimal(text)).toBeUndefined();
    expect(() => requireDecimal('port', text)).toThrow(/^port is not a decimal number/);
  });

  it('names a missing node', () => {
    expect(() => requireDecimal('port', undefined)).toThrow('port is missing');
  });
});

describe('MAC addresses', () => {
  it('read what was written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => {
        expect(parseMac(formatMac(mac))).toEqual(mac);
      }),
    );
  });

  it('nothing but the plain form', () => {
    for (const text of [
      '',
      '00:16:3e:00:00',
      '00:16:3e:00:00:1',
      '0016.3e00.0001',
      '00:16:3e:00:00:01 ',
      'g0:16:3e:00:00:01',
    ]) {
      expect(parseMac(text)).toBeUndefined();
    }
  });

  it('are drawn from Xen’s range', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (value) => {
        const mac = parseMac(randomMac(() => value));
        expect([...(mac ?? [])].slice(0, 3)).toEqual([0x00, 0x16, 0x3e]);
        expect((mac?.[3] ?? 0xff) & 0x80).toBe(0);
      }),
    );
  });
});

describe('rates', () => {
  it.each([
    ['10Mb/s', '62500,50000'],
    ['1MB/s@20ms', '20000,20000'],
    ['1GB/s', '50000000,50000'],
    ['8000b/s@1s', '1000,1000000'],
    ['1000000B/s@1us', '1,1'],
  ])('%s is %s', (text, node) => {
    expect(formatRateNode(parseRate(text))).toBe(node);
  });

  it.each(['', '10', '10Mb', 'Mb/s', '10mb/s', '10Mb/s@', '10Mb/s@5', '1b/s', '1KB/s@0ms', '-1Mb/s'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseRate(text)).toThrow(ConfigurationError);
    },
  );

  it('nodes read what was written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 0, max: U32_MAX }), (bytes, microseconds) => {
        expect(parseRateNode(formatRateNode({ bytes, microseconds }))).toEqual({ bytes, microseconds });
      }),
    );
    expect(parseRateNode('1')).toBeUndefined();
    expect(parseRateNode('1,2,3')).toBeUndefined();
    expect(parseRateNode(undefined)).toBeUndefined();
  });
});

describe('vif specifications', () => {
  it('take xl’s keys', () => {
    expect(
      parseVifSpecification(
        'mac=00:16:3E:00:00:01, bridge=br1,backend=2,rate=10Mb/s,mtu=9000,script=vif-lab,type=ioemu,model=e1000',
      ),
    ).toEqual({
      mac: '00:16:3E:00:00:01',
      bridge: 'br1',
      backend: 2,
      rate: '10Mb/s',
      mtu: 9000,
      script: 'vif-lab',
      emulated: true,
      model: 'e1000',
    });
    expect(parseVifSpecification('')).toEqual({});
    expect(parseVifSpecification('type=vif2,fallback=1')).toEqual({ type: 'vif2', fallback: true });
  });

  it('find backends by name', () => {
    const domainByName = (name: string) => (name === 'driver' ? domainId(7) : undefined);
    expect(parseVifSpecification('backend=driver', { domainByName })).toEqual({ backend: 7 });
    expect(() => parseVifSpecification('backend=other', { domainByName })).toThrow(
      'id or name of a running domain',
    );
  });

  it.each([
    ['colour=red', '"colour" in "colour=red" is not a key of a vif; known are type, fallback, mac'],
    ['mac', '"mac" in "mac" should be key=value'],
    ['mac=', 'should be key=value'],
    ['mac=zz', 'mac "zz" should be six bytes in hex, as 00:16:3e:00:00:01'],
    ['mac=01:16:3e:00:00:01', 'multicast'],
    ['mac=00:16:3e:00:00:01,mac=00:16:3e:00:00:01', 'mac is given twice'],
    ['mtu=1', 'mtu 1 should be a whole number from 68 to 65535'],
    ['mtu=big', 'mtu=big should be a decimal number'],
    ['rate=fast', 'rate "fast" should look like 10Mb/s'],
    ['type=e1000', 'type=e1000 should be vif, vif2 or ioemu'],
    ['model=e1000', 'needs type=ioemu'],
    ['fallback=1', 'fallback is for type vif2'],
    ['toString=1', 'is not a key of a vif'],
    [',', 'should be key=value'],
  ])('%s', (text, message) => {
    expect(() => parseVifSpecification(text)).toThrow(message);
  });

  it('read lists', () => {
    const text = `vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr0', "type=vif2" , '' ]`;
    expect(parseVifList(text)).toEqual([
      { mac: '00:16:3e:00:00:01', bridge: 'xenbr0' },
      { type: 'vif2' },
      {},
    ]);
    expect(parseVifList('[]')).toEqual([]);
    expect(() => parseVifList('vif = "mac=1"')).toThrow('should look like vif = [');
    expect(() => parseVifList("vif = ['a=1' 'b=2']")).toThrow(ConfigurationError);
  });

  it('answer or refuse by name, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const parse of [parseVifSpecification, parseVifList, parseRate]) {
          try {
            parse(text);
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigurationError);
          }
        }
      }),
    );
  });

  it('draw a MAC where none is given', () => {
    expect(settleConfiguration({}, domainId(0), () => 0.999).mac).toBe('00:16:3e:7f:ff:ff');
  });
});
