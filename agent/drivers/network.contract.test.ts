import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { networkContract } from './network.contract.ts';
import { OvsNetworkDriver } from './ovs/driver.ts';
import { runInside } from './ovs/testing.ts';
import { simDrivers } from './sim/drivers.ts';
import { simBed } from './sim/testing.ts';

networkContract('Open vSwitch', async () => {
  const ovs = await TestSwitch.start();
  const made: OvsNetworkDriver[] = [];
  const make = () => {
    const driver = new OvsNetworkDriver({
      socketPath: ovs.socketPath,
      datapathType: 'netdev',
      run: runInside(ovs),
    });
    made.push(driver);
    return driver;
  };
  return {
    driver: make(),
    restart: async () => {
      for (const driver of made) await driver.close();
      return make();
    },
    deviceExists: (device) =>
      ovs.exec(['ip', 'link', 'show', 'dev', device]).then(
        () => true,
        () => false,
      ),
    close: async () => {
      for (const driver of made) await driver.close();
      await ovs.stop();
    },
  };
});

networkContract('simulated host', async () => {
  const [host] = (await simBed(1)).hosts;
  return {
    driver: simDrivers(host!).network,
    restart: () => Promise.resolve(simDrivers(host!).network),
    deviceExists: (device) => Promise.resolve([...host!.ports.values()].some((port) => port.device === device)),
    close: () => Promise.resolve(),
  };
});
